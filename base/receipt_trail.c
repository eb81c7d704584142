/* That the erasure is written in the audit trail: the entry, its place in the tree, the head over it, and the keys that signed. */
#include "base/receipt_internal.h"
#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* The clocks of who asked and of the commit are one; how far it may be set meanwhile. */
#define EARLIER_MAX_US (3600 * KL_TIME_SECOND_US)
#define LATER_MAX_US (7 * KL_TIME_DAY_US)

/* A whole chain: the key before the first change, and the changes, each signed by both of its keys and going on after the one before. */
struct chain {
    bool there;
    unsigned char first[KL_TRAIL_KEY_BYTES];
    struct kl_trail_link *links; /* room for KL_TRAIL_LINKS_MAX */
    size_t count;
};

/* That of the receipt, and what else is known of the same keys. */
#define CHAINS 2

/* A receipt that is looked at. */
struct looking {
    const struct kl_receipt *receipt;
    const struct kl_json_value *trail;
    const struct kl_receipt_trust *trust;
    struct kl_receipt_checks *checks;
    struct chain chains[CHAINS];
    bool has_head;
    struct kl_trail_head head;
    bool has_leaf; /* that it is in the trail, was shown */
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
};

/* ---- keys ---- */

/* Where a list of links may begin anywhere: as if the one before were there. */
static bool link_holds(const struct kl_trail_link *link, const struct kl_trail_link *before)
{
    struct kl_trail_link imagined = {.number = link->number - 1};

    memcpy(imagined.new_key, link->old_key, sizeof imagined.new_key);
    return kl_trail_link_holds(link, before != NULL || link->number == 1 ? before : &imagined);
}

/* NULL: all is well, and the chain is there. Every link is looked at, needed or not. */
static const char *take_chain(struct chain *chain, const struct kl_json_value *keys)
{
    const struct kl_json_value *list = kl_json_member(keys, "links");
    const char *tenant = kl_json_text(kl_json_member(keys, "tenant"));
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    const unsigned char *at = chain->first;
    unsigned char last[KL_TRAIL_KEY_BYTES];

    if (kl_json_type(list) != KL_JSON_ARRAY || tenant == NULL ||
        !kl_json_bytes(keys, "first_key", chain->first, sizeof chain->first) ||
        !kl_json_bytes(keys, "public_key", last, sizeof last)) {
        return "the keys of the trail cannot be read";
    }
    while (kl_json_next(&iter, NULL, &item)) {
        struct kl_trail_link *link = chain->links + chain->count;

        if (chain->count == KL_TRAIL_LINKS_MAX ||
            kl_trail_link_read(item, tenant, link, NULL) != KL_OK) {
            return "a change of the key cannot be read, or there are too many";
        }
        if (memcmp(at, link->old_key, sizeof last) != 0 ||
            !link_holds(link, chain->count == 0 ? NULL : link - 1)) {
            return "a change of the key is not signed by the keys that it names, or does not go "
                   "on after the one before";
        }
        at = link->new_key;
        chain->count++;
    }
    if (memcmp(at, last, sizeof last) != 0) {
        return "the changes of the key do not lead to the one that is said to be in use";
    }
    chain->there = true;
    return NULL;
}

static bool is_in(const struct chain *chain, const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    bool found = memcmp(chain->first, key, KL_TRAIL_KEY_BYTES) == 0;
    size_t i;

    for (i = 0; chain->there && !found && i < chain->count; i++) {
        found = memcmp(chain->links[i].new_key, key, KL_TRAIL_KEY_BYTES) == 0;
    }
    return chain->there && found;
}

static bool share_a_key(const struct chain *a, const struct chain *b)
{
    bool found = a->there && is_in(b, a->first);
    size_t i;

    for (i = 0; a->there && !found && i < a->count; i++) {
        found = is_in(b, a->links[i].new_key);
    }
    return found;
}

/* A link is signed by both keys: who trusts either may go to the other. */
static bool leads(const struct looking *looking, const unsigned char to[KL_TRAIL_KEY_BYTES])
{
    const unsigned char *from = looking->trust->key;
    const struct chain *chains = looking->chains;
    bool from_in[CHAINS];
    bool to_in[CHAINS];
    size_t i;

    for (i = 0; i < CHAINS; i++) {
        from_in[i] = is_in(&chains[i], from);
        to_in[i] = is_in(&chains[i], to);
    }
    return memcmp(from, to, KL_TRAIL_KEY_BYTES) == 0 || (from_in[0] && to_in[0]) ||
           (from_in[1] && to_in[1]) ||
           ((from_in[0] || from_in[1]) && (to_in[0] || to_in[1]) &&
            share_a_key(&chains[0], &chains[1]));
}

static void check_chain(struct looking *looking)
{
    const char *wrong = NULL;
    size_t count = 0;

    if (kl_json_type(kl_json_member(looking->trail, "proof")) != KL_JSON_ABSENT) {
        wrong = take_chain(&looking->chains[0], kl_json_member(looking->trail, "keys"));
    }
    if (wrong == NULL && kl_json_type(looking->trust->keys) != KL_JSON_ABSENT) {
        wrong = take_chain(&looking->chains[1], looking->trust->keys);
    }
    count = looking->chains[0].count + looking->chains[1].count;
    if (wrong != NULL) {
        kl_receipt_say(looking->checks, "chain", KL_RECEIPT_FAILED, "%s", wrong);
    } else if (count > 0) {
        kl_receipt_say(looking->checks, "chain", KL_RECEIPT_HOLDS,
                       "changes of the key that are told of: %zu; each is signed by both keys",
                       count);
    }
}

static void check_key(struct looking *looking)
{
    const unsigned char *trusted = looking->trust->key;
    unsigned char key[KL_TRAIL_KEY_BYTES];

    if (!kl_json_bytes(looking->receipt->said, "public_key", key, sizeof key) ||
        !leads(looking, key)) {
        kl_receipt_say(looking->checks, "key", KL_RECEIPT_FAILED,
                       "the key that you trust did not sign it, and no chain of signatures leads "
                       "from one to the other");
    } else if (memcmp(trusted, key, sizeof key) == 0) {
        kl_receipt_say(looking->checks, "key", KL_RECEIPT_HOLDS,
                       "the key that you trust signed it");
    } else {
        kl_receipt_say(looking->checks, "key", KL_RECEIPT_HOLDS,
                       "a chain of signatures leads from the key that you trust to the one that "
                       "signed it");
    }
}

/* ---- the head ---- */

static bool is_of_tenant_itself(const struct kl_json_value *said)
{
    const char *kind = kl_json_text(kl_json_member(said, "kind"));

    return kind != NULL && strcmp(kind, "tenant") == 0;
}

/* The vault's own trail, whose heads name no tenant, has the ends of tenants, and what was of one that was gone by then: see in_vault_rightly(). */
static bool is_trail_of(const struct kl_json_value *said, const char *trail)
{
    const char *tenant = kl_json_text(kl_json_member(said, "tenant"));

    return trail[0] == '\0' ||
           (!is_of_tenant_itself(said) && tenant != NULL && strcmp(tenant, trail) == 0);
}

/* entry absent: its text is gone. */
static bool in_vault_rightly(const struct looking *looking, const struct kl_json_value *entry)
{
    const struct kl_json_value *said = looking->receipt->said;

    return looking->head.tenant[0] != '\0' || is_of_tenant_itself(said) ||
           kl_json_type(kl_json_member(said, "tenant")) == KL_JSON_NULL ||
           kl_json_type(kl_json_member(entry, "of_tenant")) != KL_JSON_ABSENT;
}

static const char *wrong_head(struct looking *looking)
{
    const struct kl_json_value *keys = kl_json_member(looking->trail, "keys");
    const char *tenant = kl_json_text(kl_json_member(keys, "tenant"));
    struct kl_trail_head head;

    if (kl_trail_head_read(kl_json_member(looking->trail, "head"), &head, NULL) != KL_OK) {
        return "the head of the trail cannot be read";
    }
    if (!kl_trail_head_holds(&head)) {
        return "the signature of the head does not fit";
    }
    if (!leads(looking, head.key)) {
        return "the key that you trust did not sign the head, and no chain of signatures leads "
               "from one to the other";
    }
    if (!is_trail_of(looking->receipt->said, head.tenant) || tenant == NULL ||
        strcmp(tenant, head.tenant) != 0) {
        return "the head is of another trail than this receipt";
    }
    looking->head = head;
    looking->has_head = true;
    return NULL;
}

static void check_head(struct looking *looking)
{
    const char *wrong = wrong_head(looking);

    if (wrong == NULL) {
        kl_receipt_say(looking->checks, "head", KL_RECEIPT_HOLDS,
                       "the trail had %llu entries at %s; that is signed",
                       (unsigned long long)looking->head.size, looking->head.at);
    } else {
        kl_receipt_say(looking->checks, "head", KL_RECEIPT_FAILED, "%s", wrong);
    }
}

/* ---- its place in the tree ---- */

static bool take_hashes(const struct kl_json_value *proof, struct kl_merkle_hash *ret,
                        size_t *ret_count)
{
    const struct kl_json_value *list = kl_json_member(proof, "hashes");
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    size_t count = 0;

    while (kl_json_next(&iter, NULL, &item)) {
        const char *text = kl_json_text(item);

        if (count == KL_MERKLE_PROOF_MAX || text == NULL ||
            !kl_base64_decode(text, kl_json_text_bytes(item), ret[count++].bytes,
                              KL_MERKLE_HASH_BYTES)) {
            return false;
        }
    }
    *ret_count = count;
    return kl_json_type(list) == KL_JSON_ARRAY;
}

static const char *wrong_inclusion(struct looking *looking)
{
    const struct kl_json_value *proof = kl_json_member(looking->trail, "proof");
    const char *tenant = kl_json_text(kl_json_member(proof, "tenant"));
    struct kl_merkle_hash hashes[KL_MERKLE_PROOF_MAX];
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    unsigned char root[KL_MERKLE_HASH_BYTES];
    size_t count = 0;
    int64_t index = -1;
    int64_t size = -1;

    if (!kl_json_int(kl_json_member(proof, "leaf_index"), &index) ||
        !kl_json_int(kl_json_member(proof, "size"), &size) || index < 0 || tenant == NULL ||
        !kl_json_bytes(proof, "leaf_hash", leaf, sizeof leaf) ||
        !kl_json_bytes(proof, "root_hash", root, sizeof root) ||
        !take_hashes(proof, hashes, &count)) {
        return "the proof of its place in the trail cannot be read";
    }
    if (size < 0 || (uint64_t)size != looking->head.size ||
        memcmp(root, looking->head.root, sizeof root) != 0 ||
        strcmp(tenant, looking->head.tenant) != 0) {
        return "the proof is for another head of the trail";
    }
    if (!kl_merkle_includes((uint64_t)index, (uint64_t)size, leaf, hashes, count, root)) {
        return "the proof does not lead from the entry to the head: it is not in that trail";
    }
    memcpy(looking->leaf, leaf, sizeof leaf);
    looking->has_leaf = true;
    return NULL;
}

static void check_inclusion(struct looking *looking)
{
    int64_t index = 0;
    const char *wrong = NULL;

    if (!looking->has_head) {
        return; /* said */
    }
    wrong = wrong_inclusion(looking);
    (void)kl_json_int(kl_json_member(kl_json_member(looking->trail, "proof"), "leaf_index"),
                      &index);
    if (wrong == NULL) {
        kl_receipt_say(looking->checks, "inclusion", KL_RECEIPT_HOLDS,
                       "number %lld of the trail is proved to be in it", (long long)index);
    } else {
        kl_receipt_say(looking->checks, "inclusion", KL_RECEIPT_FAILED, "%s", wrong);
    }
}

/* ---- the entry ---- */

static bool same_moment(const struct kl_json_value *entry, const struct kl_json_value *said)
{
    const struct kl_json_value *at = kl_json_member(entry, "at");
    const struct kl_json_value *erased = kl_json_member(said, "erased_at");
    int64_t asked_us = 0;
    int64_t erased_us = 0;

    return kl_json_text(at) != NULL && kl_json_text(erased) != NULL &&
           kl_time_parse(kl_json_text(at), kl_json_text_bytes(at), &asked_us, NULL) == KL_OK &&
           kl_time_parse(kl_json_text(erased), kl_json_text_bytes(erased), &erased_us, NULL) ==
               KL_OK &&
           erased_us >= asked_us - EARLIER_MAX_US && erased_us <= asked_us + LATER_MAX_US;
}

static bool same_action(const struct kl_json_value *entry, const struct kl_json_value *said)
{
    static const char *const actions[][2] = {{"subject", "erase"},
                                             {"record", "erase_record"},
                                             {"retained", "retention_end"},
                                             {"tenant", "tenant_end"}};
    const char *kind = kl_json_text(kl_json_member(said, "kind"));
    const char *action = kl_json_text(kl_json_member(entry, "action"));
    const char *result = kl_json_text(kl_json_member(entry, "result"));
    size_t i;

    for (i = 0; kind != NULL && action != NULL && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(kind, actions[i][0]) == 0) {
            return strcmp(action, actions[i][1]) == 0 && result != NULL &&
                   strcmp(result, "ok") == 0;
        }
    }
    return false;
}

/* How far the tenant's own trail came stands in both. */
static bool same_tenant(const struct kl_json_value *entry, const struct kl_json_value *said)
{
    const struct kl_json_value *audit = kl_json_member(said, "audit");

    return kl_receipt_same(kl_json_member(entry, "tenant"), kl_json_member(said, "tenant")) &&
           kl_receipt_same(kl_json_member(entry, "audit_size"), kl_json_member(audit, "size")) &&
           kl_receipt_same(kl_json_member(entry, "audit_root_hash"),
                           kl_json_member(audit, "root_hash")) &&
           kl_receipt_same(kl_json_member(entry, "tenant_public_key"),
                           kl_json_member(said, "tenant_public_key"));
}

/* The first thing in which entry and receipt differ; NULL: none. */
static const char *differing(const struct kl_json_value *entry, const struct kl_json_value *said)
{
    static const char *const pairs[][2] = {
        {"receipt", "receipt"},       {"reason", "reason"},   {"credential", "credential"},
        {"request_id", "request_id"}, {"request", "request"}, {"of", "of"}};
    static const char *const counts[][2] = {{"records", "records_erased"},
                                            {"fields", "fields_erased"}};
    size_t i;

    for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (!kl_receipt_same(kl_json_member(entry, pairs[i][0]),
                             kl_json_member(said, pairs[i][1]))) {
            return pairs[i][1];
        }
    }
    if (!same_action(entry, said)) {
        return "kind";
    }
    if (!same_moment(entry, said)) {
        return "erased_at";
    }
    if (!kl_receipt_same(kl_json_member(entry, "generation"),
                         kl_json_member(kl_json_member(said, "generation"), "to"))) {
        return "generation";
    }
    if (is_of_tenant_itself(said)) {
        return same_tenant(entry, said) ? NULL : "audit";
    }
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (!kl_receipt_same(kl_json_member(entry, counts[i][0]),
                             kl_json_member(said, counts[i][1]))) {
            return counts[i][1];
        }
    }
    return NULL;
}

/* What the signed text says of the entry: its leaf, and its id. */
static const char *wrong_leaf(const struct looking *looking)
{
    const struct kl_json_value *named = kl_json_member(looking->receipt->said, "entry");
    unsigned char leaf[KL_MERKLE_HASH_BYTES];

    if (kl_json_type(named) == KL_JSON_ABSENT) {
        return NULL;
    }
    return kl_json_bytes(named, "leaf_hash", leaf, sizeof leaf) &&
                   memcmp(leaf, looking->leaf, sizeof leaf) == 0
               ? NULL
               : "the entry that was proved is not the one that the receipt names";
}

static void check_text(const struct looking *looking, const struct kl_json_value *text)
{
    const struct kl_json_value *said = looking->receipt->said;
    const struct kl_json_value *named = kl_json_member(said, "entry");
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    struct kl_json *json = NULL;
    const struct kl_json_value *entry = NULL;
    const char *other = NULL;

    kl_merkle_leaf(kl_slice_of(kl_json_text(text), kl_json_text_bytes(text)), leaf);
    if (memcmp(leaf, looking->leaf, sizeof leaf) != 0) {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_FAILED,
                       "the entry is not the one that was proved");
        return;
    }
    if (kl_json_parse(kl_json_text(text), kl_json_text_bytes(text), &json, NULL) != KL_OK) {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_FAILED, "the entry cannot be read");
        return;
    }
    entry = kl_json_root(json);
    other = differing(entry, said);
    if (other == NULL && kl_json_type(named) != KL_JSON_ABSENT &&
        !kl_receipt_same(kl_json_member(entry, "id"), kl_json_member(named, "id"))) {
        other = "entry";
    }
    if (other == NULL && !in_vault_rightly(looking, entry)) {
        other = "tenant";
    }
    if (other == NULL) {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_HOLDS,
                       "the entry is of this erasure, and says what the receipt says");
    } else {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_FAILED,
                       "the entry and the receipt say different things of \"%s\"", other);
    }
    kl_json_free(json);
}

static void check_entry(const struct looking *looking)
{
    const struct kl_json_value *text = kl_json_member(looking->trail, "entry");
    const char *wrong = NULL;

    if (!looking->has_leaf) {
        return; /* said */
    }
    wrong = wrong_leaf(looking);
    if (wrong != NULL) {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_FAILED, "%s", wrong);
    } else if (kl_json_type(text) == KL_JSON_TEXT) {
        check_text(looking, text);
    } else if (kl_json_type(text) != KL_JSON_NULL) {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_FAILED, "the entry cannot be read");
    } else if (kl_json_type(kl_json_member(looking->receipt->said, "entry")) == KL_JSON_ABSENT ||
               !in_vault_rightly(looking, NULL)) {
        kl_receipt_say(
            looking->checks, "entry", KL_RECEIPT_FAILED,
            "the text of the entry is gone, and nothing else leads from it to the receipt");
    } else {
        kl_receipt_say(looking->checks, "entry", KL_RECEIPT_HOLDS,
                       "the text of the entry is gone from the trail by now; its leaf is the one "
                       "that the receipt names, and was signed with it");
    }
}

/* ---- all of it ---- */

static void check_missing(const struct looking *looking)
{
    const char *code = kl_json_text(kl_json_member(looking->trail, "missing"));

    kl_receipt_say(looking->checks, "inclusion", KL_RECEIPT_FAILED,
                   "that the erasure is in the audit trail is not proved: %s%s",
                   code != NULL ? "the vault could not, for " : "the proof is not in this file",
                   code != NULL ? code : "");
}

static void check_tenant(const struct looking *looking)
{
    const struct kl_json_value *said = looking->receipt->said;
    const struct kl_json_value *audit = kl_json_member(said, "audit");
    const char *root = kl_json_text(kl_json_member(audit, "root_hash"));
    int64_t size = 0;

    if (is_of_tenant_itself(said) && kl_json_int(kl_json_member(audit, "size"), &size)) {
        kl_receipt_say(looking->checks, "tenant_trail", KL_RECEIPT_OPEN,
                       "the tenant's own trail went with its keys: it had come to %lld entries "
                       "and the root hash %s, which a head of it that was kept elsewhere must fit",
                       (long long)size, root == NULL ? "-" : root);
    }
}

enum kl_status kl_receipt_check_trail(const struct kl_receipt *receipt,
                                      const struct kl_receipt_trust *trust,
                                      struct kl_receipt_checks *checks, struct kl_err *err)
{
    struct looking looking = {
        .receipt = receipt, .trail = kl_receipt_trail(receipt), .trust = trust, .checks = checks};
    struct kl_trail_link *links = calloc(CHAINS * KL_TRAIL_LINKS_MAX, sizeof *links);

    if (links == NULL) {
        return kl_fail_memory(err);
    }
    looking.chains[0].links = links;
    looking.chains[1].links = links + KL_TRAIL_LINKS_MAX;
    check_chain(&looking);
    check_key(&looking);
    if (kl_json_type(kl_json_member(looking.trail, "proof")) == KL_JSON_ABSENT) {
        check_missing(&looking);
    } else {
        check_head(&looking);
        check_inclusion(&looking);
        check_entry(&looking);
    }
    check_tenant(&looking);
    free(links);
    return KL_OK;
}
