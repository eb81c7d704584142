/* Proofs and chains of keys as JSON, alike wherever they are told. */
#include "vault/audit_write.h"

#include "kluis/base/encode.h"
#include "vault/signing.h"

#include <string.h>

void vault_audit_add_hash(struct kl_json_out *out, const char *key,
                          const unsigned char hash[KL_MERKLE_HASH_BYTES])
{
    char text[KL_BASE64_CHARS(KL_MERKLE_HASH_BYTES) + 1];

    kl_base64(hash, KL_MERKLE_HASH_BYTES, text);
    if (key != NULL) {
        kl_json_key(out, key);
    }
    kl_json_put_text(out, text);
}

void vault_audit_add_hashes(struct kl_json_out *out, const struct vault_tree_proof *proof)
{
    kl_json_key(out, "hashes");
    kl_json_array_begin(out);
    for (size_t i = 0; i < proof->count; i++) {
        vault_audit_add_hash(out, NULL, proof->hashes[i].bytes);
    }
    kl_json_array_end(out);
}

enum kl_status vault_audit_inclusion_write(struct vault_tree_reader *reader,
                                           const char *tenant_name, const struct kl_id *entry,
                                           uint64_t index, uint64_t size, struct kl_json_out *out,
                                           struct kl_err *err)
{
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    unsigned char root[KL_MERKLE_HASH_BYTES];
    char id[KL_ID_TEXT_BYTES];
    struct vault_tree_proof proof = {0};
    enum kl_status status = vault_tree_inclusion(reader, index, size, &proof, err);

    if (status == KL_OK) {
        status = vault_tree_leaf(reader, index, leaf, err);
    }
    if (status == KL_OK) {
        status = vault_tree_root(reader, size, root, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "tenant", tenant_name);
    if (entry != NULL) {
        kl_id_format("aud", entry, id);
        kl_json_add_text(out, "entry", id);
    }
    kl_json_add_int(out, "leaf_index", (int64_t)index);
    kl_json_add_int(out, "size", (int64_t)size);
    vault_audit_add_hash(out, "leaf_hash", leaf);
    vault_audit_add_hashes(out, &proof);
    vault_audit_add_hash(out, "root_hash", root);
    kl_json_object_end(out);
    return KL_OK;
}

/* ---- keys ---- */

struct chain {
    const char *tenant_name;
    uint32_t links_max;
    uint32_t from; /* the number of the first that is told */
    struct kl_buf *text;
    struct kl_json_out *out;
    unsigned char first[KL_TRAIL_KEY_BYTES];
    unsigned char last[KL_TRAIL_KEY_BYTES];
};

static enum kl_status chain_link(void *visitor, const struct kl_trail_link *link, bool holds,
                                 struct kl_err *err)
{
    struct chain *chain = visitor;
    enum kl_status status = KL_OK;
    struct kl_buf text;

    if (!holds) {
        return kl_fail(err, KL_ERR_CORRUPT, "signing_key_damaged",
                       "what is kept beside the keys about the signing key is damaged",
                       "link %lu of the chain does not hold", (unsigned long)link->number);
    }
    memcpy(chain->last, link->new_key, sizeof chain->last);
    if (link->number < chain->from) {
        return KL_OK;
    }
    if (link->number == chain->from) {
        memcpy(chain->first, link->old_key, sizeof chain->first);
    }
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_link_write(link, &text);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        kl_json_put_raw(chain->out, text.bytes, text.size);
    }
    kl_buf_done(&text);
    return status;
}

/* A change of the key in between makes the two disagree: KL_ERR_BUSY then, and all is looked up again. */
static enum kl_status keys_with(void *context, const struct vault_signer *signer,
                                struct kl_err *err)
{
    struct chain *chain = context;
    struct vault_signing_state state = {0};
    enum kl_status status = KL_OK;

    chain->from = signer->number > chain->links_max ? signer->number - chain->links_max + 1 : 1;
    kl_buf_clear(chain->text);
    *chain->out = kl_json_out(chain->text);
    memcpy(chain->first, signer->public_key, sizeof chain->first);
    memcpy(chain->last, signer->public_key, sizeof chain->last);
    kl_json_object_begin(chain->out);
    kl_json_key(chain->out, "links");
    kl_json_array_begin(chain->out);
    status = vault_signing_each(signer->keys, signer->place.tenant, chain->tenant_name, chain_link,
                                chain, err);
    kl_json_array_end(chain->out);
    vault_audit_add_hash(chain->out, "first_key", chain->first);
    vault_audit_add_hash(chain->out, "public_key", signer->public_key);
    kl_json_add_text(chain->out, "tenant", chain->tenant_name);
    kl_json_object_end(chain->out);
    if (status == KL_OK) {
        status = vault_signing_state(signer->keys, signer->place.tenant, &state, err);
    }
    if (status == KL_OK && state.number != signer->number) {
        return kl_fail(err, KL_ERR_BUSY, "signing_key_changed",
                       "the signing key was changed meanwhile; try again", NULL);
    }
    if (status == KL_OK && memcmp(chain->last, signer->public_key, sizeof chain->last) != 0) {
        status = kl_fail(err, KL_ERR_CORRUPT, "signing_key_damaged",
                         "what is kept beside the keys about the signing key is damaged",
                         "the chain does not lead to the key in use");
    }
    return status;
}

enum kl_status vault_audit_keys_write(struct kms *keys, uint64_t tenant, const char *tenant_name,
                                      uint32_t links_max, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_json_out out;
    struct chain chain = {
        .tenant_name = tenant_name, .links_max = links_max, .text = ret, .out = &out};

    return vault_signing_with(keys, tenant, keys_with, &chain, err);
}
