#include "vault/pseudonym.h"

#include "vault/rows.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_BYTES KL_ID_BYTES
#define LABEL_SECRET "pseudonyms"
#define LABEL_MASK "pseudonym mask"
#define LABEL_ORDER "pseudonym order"

_Static_assert(CHECK_BYTES + VAULT_HANDLE_BYTES == VAULT_PSEUDONYM_BYTES, "two halves");
_Static_assert(VAULT_HANDLE_BYTES == KL_ID_BYTES, "each is written as an id is");
_Static_assert(VAULT_PSEUDONYM_SECRET_BYTES == KMS_MAC_BYTES, "as it comes out of kms_mac");

/* What a part of it is for; the byte that its hash begins with. */
enum part { PART_HANDLE, PART_SUBJECT, PART_RECORD, PART_FIELD };
enum whose { OF_CREDENTIAL, OF_RECIPIENT };

/* ---- parts ---- */

static void part_make(const unsigned char secret[VAULT_PSEUDONYM_SECRET_BYTES], enum part part,
                      const struct kl_id *record, const char *field, unsigned char ret[CHECK_BYTES])
{
    const unsigned char first = (unsigned char)part;
    crypto_generichash_state state;

    crypto_generichash_init(&state, secret, VAULT_PSEUDONYM_SECRET_BYTES, CHECK_BYTES);
    crypto_generichash_update(&state, &first, 1);
    if (record != NULL) {
        crypto_generichash_update(&state, record->bytes, KL_ID_BYTES);
    }
    if (field != NULL) {
        crypto_generichash_update(&state, (const unsigned char *)field, strlen(field));
    }
    crypto_generichash_final(&state, ret, CHECK_BYTES);
    sodium_memzero(&state, sizeof state);
}

static void check_make(const struct vault_pseudonyms *pseudonyms, const struct kl_id *record,
                       const char *field, unsigned char ret[CHECK_BYTES])
{
    assert(record != NULL || field == NULL);
    part_make(pseudonyms->secret,
              record == NULL  ? PART_SUBJECT
              : field == NULL ? PART_RECORD
                              : PART_FIELD,
              record, field, ret);
}

static enum kl_status tenant_mac(struct vault *vault, uint64_t tenant, const char *label,
                                 struct kl_slice data, unsigned char ret_mac[KMS_MAC_BYTES],
                                 struct kl_err *err)
{
    const struct kms_place place = {tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};

    return kms_mac(vault->keys, &place, label, data, ret_mac, err);
}

/* Both ways. */
static enum kl_status mask_handle(struct vault *vault, uint64_t tenant,
                                  const unsigned char check[CHECK_BYTES],
                                  const unsigned char from[VAULT_HANDLE_BYTES],
                                  unsigned char ret[VAULT_HANDLE_BYTES], struct kl_err *err)
{
    unsigned char mask[KMS_MAC_BYTES];
    enum kl_status status =
        tenant_mac(vault, tenant, LABEL_MASK, kl_slice_of(check, CHECK_BYTES), mask, err);
    size_t i;

    for (i = 0; status == KL_OK && i < VAULT_HANDLE_BYTES; i++) {
        ret[i] = from[i] ^ mask[i];
    }
    sodium_memzero(mask, sizeof mask);
    return status;
}

/* ---- whose they are ---- */

#define WHOSE_MAX_BYTES (1 + VAULT_NAME_MAX_BYTES)

/* recipient NULL: the credential. */
static void add_whose(struct kl_buf *data, const char *recipient, const struct kl_id *credential)
{
    kl_buf_add_byte(data, recipient == NULL ? OF_CREDENTIAL : OF_RECIPIENT);
    if (recipient == NULL) {
        kl_buf_add(data, credential->bytes, KL_ID_BYTES);
    } else {
        kl_buf_add_text(data, recipient);
    }
}

static const char *recipient_of(const struct vault_caller *caller, const struct vault_query *query)
{
    return query->recipient == VAULT_NONE
               ? NULL
               : vault_policy_recipient(caller->policy, query->recipient)->name;
}

enum kl_status vault_pseudonyms_order_key(struct vault *vault, const struct vault_caller *caller,
                                          const struct vault_query *query,
                                          unsigned char ret_key[VAULT_PSEUDONYM_SECRET_BYTES],
                                          struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf data;

    kl_buf_init(&data, WHOSE_MAX_BYTES);
    add_whose(&data, recipient_of(caller, query), &caller->credential);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = tenant_mac(vault, caller->tenant, LABEL_ORDER, kl_buf_slice(&data), ret_key, err);
    }
    kl_buf_done(&data);
    return status;
}

/* ---- of a subject, for a recipient ---- */

enum kl_status vault_pseudonyms_begin(struct vault *vault, const struct vault_subject *subject,
                                      const char *recipient, const struct kl_id *credential,
                                      struct vault_pseudonyms *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_pseudonyms pseudonyms = {.tenant = subject->tenant};
    struct kl_buf data;

    kl_buf_init(&data, VAULT_TOKEN_SEED_BYTES + WHOSE_MAX_BYTES);
    kl_buf_add(&data, subject->base.token_seed, VAULT_TOKEN_SEED_BYTES);
    add_whose(&data, recipient, credential);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = tenant_mac(vault, subject->tenant, LABEL_SECRET, kl_buf_slice(&data),
                            pseudonyms.secret, err);
    }
    if (status == KL_OK) {
        part_make(pseudonyms.secret, PART_HANDLE, NULL, NULL, pseudonyms.handle);
        *ret = pseudonyms;
    }
    kl_buf_done(&data);
    vault_pseudonyms_done(&pseudonyms);
    return status;
}

enum kl_status vault_pseudonyms_of(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_query *query,
                                   const struct vault_subject *subject,
                                   struct vault_pseudonyms *ret, struct kl_err *err)
{
    return vault_pseudonyms_begin(vault, subject, recipient_of(caller, query), &caller->credential,
                                  ret, err);
}

void vault_pseudonyms_done(struct vault_pseudonyms *pseudonyms)
{
    sodium_memzero(pseudonyms, sizeof *pseudonyms);
}

enum kl_status vault_pseudonym_make(struct vault *vault, const struct vault_pseudonyms *pseudonyms,
                                    const struct kl_id *record, const char *field,
                                    char ret_text[VAULT_PSEUDONYM_TEXT_BYTES], struct kl_err *err)
{
    struct kl_id halves[2];
    char text[KL_ID_TEXT_BYTES];
    enum kl_status status = KL_OK;

    check_make(pseudonyms, record, field, halves[0].bytes);
    status = mask_handle(vault, pseudonyms->tenant, halves[0].bytes, pseudonyms->handle,
                         halves[1].bytes, err);
    if (status == KL_OK) {
        kl_id_format("tok", &halves[0], text);
        memcpy(ret_text, text, 4 + KL_ID_DIGITS);
        kl_id_format("tok", &halves[1], text);
        memcpy(ret_text + 4 + KL_ID_DIGITS, text + 4, KL_ID_DIGITS + 1);
    }
    return status;
}

bool vault_pseudonym_is(const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
                        const struct vault_pseudonyms *pseudonyms, const struct kl_id *record,
                        const char *field)
{
    unsigned char check[CHECK_BYTES];

    check_make(pseudonyms, record, field, check);
    return sodium_memcmp(check, pseudonym, CHECK_BYTES) == 0;
}

enum kl_status vault_pseudonym_parse(const char *text, unsigned char ret[VAULT_PSEUDONYM_BYTES],
                                     struct kl_err *err)
{
    struct kl_id halves[2];
    char half[KL_ID_TEXT_BYTES] = "";

    if (text == NULL || strnlen(text, VAULT_PSEUDONYM_CHARS + 1) != VAULT_PSEUDONYM_CHARS) {
        goto invalid;
    }
    memcpy(half, text, 4 + KL_ID_DIGITS);
    if (kl_id_parse("tok", half, &halves[0], NULL) != KL_OK) {
        goto invalid;
    }
    memcpy(half + 4, text + 4 + KL_ID_DIGITS, KL_ID_DIGITS);
    if (kl_id_parse("tok", half, &halves[1], NULL) != KL_OK) {
        goto invalid;
    }
    memcpy(ret, halves[0].bytes, KL_ID_BYTES);
    memcpy(ret + KL_ID_BYTES, halves[1].bytes, KL_ID_BYTES);
    return KL_OK;

invalid:
    return kl_failf(err, KL_ERR_INVALID, "invalid_token",
                    "not a token: it begins with tok_ and goes on with %d letters and digits",
                    2 * KL_ID_DIGITS);
}

enum kl_status vault_pseudonym_handle(struct vault *vault, uint64_t tenant,
                                      const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
                                      unsigned char ret_handle[VAULT_HANDLE_BYTES],
                                      struct kl_err *err)
{
    return mask_handle(vault, tenant, pseudonym, pseudonym + CHECK_BYTES, ret_handle, err);
}

/* ---- noted, so that they can be resolved ---- */

bool vault_pseudonyms_noted(const struct vault_subject *subject,
                            const struct vault_pseudonyms *pseudonyms)
{
    size_t i;

    for (i = 0; i < subject->base.handle_count; i++) {
        if (sodium_memcmp(subject->base.handles[i], pseudonyms->handle, VAULT_HANDLE_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

enum kl_status vault_pseudonyms_note(struct vault_change *change,
                                     const struct vault_pseudonyms *pseudonyms, struct kl_err *err)
{
    struct vault_manifest_base *base = &change->subject.base;
    enum kl_status status = KL_OK;

    if (base->handle_count == VAULT_HANDLES_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_recipients",
                        "a subject is shown under pseudonyms to at most %d recipients",
                        VAULT_HANDLES_MAX);
    }
    memcpy(base->handles[base->handle_count++], pseudonyms->handle, VAULT_HANDLE_BYTES);
    status = vault_change_base_seal(change, err);
    return status == KL_OK ? vault_change_index_handle(change, base->handle_count - 1, err)
                           : status;
}

/* ---- ids in a result ---- */

static int by_pseudonym(const void *a, const void *b)
{
    return strcmp(((const struct vault_record_result *)a)->pseudonym,
                  ((const struct vault_record_result *)b)->pseudonym);
}

static enum kl_status stand_in(struct vault *vault, const struct vault_pseudonyms *pseudonyms,
                               const struct kl_id *record, struct kl_arena *arena, const char **ret,
                               struct kl_err *err)
{
    char text[VAULT_PSEUDONYM_TEXT_BYTES];
    enum kl_status status = vault_pseudonym_make(vault, pseudonyms, record, NULL, text, err);

    if (status == KL_OK) {
        *ret = kl_arena_text(arena, text, VAULT_PSEUDONYM_CHARS);
        status = *ret == NULL ? kl_fail_memory(err) : KL_OK;
    }
    return status;
}

enum kl_status vault_pseudonyms_conceal(struct vault *vault,
                                        const struct vault_pseudonyms *pseudonyms,
                                        struct kl_arena *arena, struct vault_subject_result *result,
                                        struct kl_err *err)
{
    enum kl_status status = stand_in(vault, pseudonyms, NULL, arena, &result->pseudonym, err);
    size_t i;

    memset(&result->id, 0, sizeof result->id);
    for (i = 0; status == KL_OK && i < result->record_count; i++) {
        struct vault_record_result *record = &result->records[i];

        status = stand_in(vault, pseudonyms, &record->id, arena, &record->pseudonym, err);
        memset(&record->id, 0, sizeof record->id);
        record->source = NULL;
        record->version = 0;
        record->created_us = 0;
    }
    if (status == KL_OK && result->record_count > 1) {
        qsort(result->records, result->record_count, sizeof *result->records, by_pseudonym);
    }
    return status;
}
