/* The question of a breach report: who may ask, whose acts, which period, which entries. */
#include "vault/breach_internal.h"

#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define CURSOR_KIND "breach"
#define SOUGHT_HASH_BYTES crypto_generichash_BYTES_MIN
/* The newest policies that are looked at for a name that the one in force does not have. */
#define POLICIES_LOOKED_AT_MAX 256
#define POSITION_BYTES (4 * 8 + SOUGHT_HASH_BYTES)

enum kl_status vault_breach_may(struct vault_breach *breach, struct kl_err *err)
{
    const struct vault_caller *caller = breach->caller;

    if (caller->builtin == VAULT_BUILTIN_AUDITOR) {
        return KL_OK;
    }
    if (caller->builtin == VAULT_BUILTIN_NONE && caller->policy != NULL && !caller->bound &&
        vault_may_about(caller, VAULT_ACTION_REPORT, VAULT_NONE, NULL)) {
        breach->may_name = !breach->whole && caller->purposes == UINT64_MAX;
        return KL_OK;
    }
    return vault_act_refuse(breach->vault, caller, VAULT_BREACH_ACTION, err);
}

/* ---- whose acts ---- */

static enum kl_status take_credential(struct vault_breach *breach, const struct kl_id *id,
                                      struct kl_err *err)
{
    struct vault_credential *credential = NULL;
    char *text = kl_arena_array(breach->arena, KL_ID_TEXT_BYTES, 1);
    enum kl_status status = KL_OK;
    size_t i;

    if (text == NULL) {
        return kl_fail_memory(err);
    }
    kl_id_format(VAULT_CREDENTIAL_PREFIX, id, text);
    for (i = 0; i < breach->sought_count; i++) {
        if (strcmp(breach->sought[i], text) == 0) {
            return kl_fail(err, KL_ERR_INVALID, "duplicate_item",
                           "a credential is named more than once", NULL);
        }
    }
    status = vault_credential_read(breach->vault, breach->tenant, id, &credential, err);
    if (status == KL_OK) {
        status = vault_credential_describe(breach->vault, credential, breach->arena,
                                           &breach->credentials[breach->credential_count], err);
    }
    if (status == KL_OK) {
        breach->credential_count++;
        breach->needles[breach->sought_count] = text;
        breach->sought[breach->sought_count++] = text;
    }
    vault_credential_unref(credential);
    return status;
}

static enum kl_status take_credentials(struct vault_breach *breach,
                                       const struct vault_breach_input *input, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    if (input->credential_count > VAULT_BREACH_CREDENTIALS_MAX) {
        kl_err_where(err, "/credentials");
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_items", "at most %d credentials",
                        VAULT_BREACH_CREDENTIALS_MAX);
    }
    breach->credentials =
        kl_arena_array(breach->arena, input->credential_count, sizeof breach->credentials[0]);
    if (breach->credentials == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < input->credential_count; i++) {
        status = take_credential(breach, &input->credentials[i], err);
        if (status != KL_OK && input->credential_count > 1) {
            kl_err_where(err, "/credentials/%zu", i);
        }
    }
    return status;
}

static bool policy_has(const struct vault_breach *breach, const struct vault_policy *policy,
                       const char *name)
{
    return (breach->start == VAULT_BREACH_ROLE
                ? vault_policy_role_find(policy, name)
                : vault_policy_recipient_find(policy, name)) != VAULT_NONE;
}

/* Whether any policy that there was knows the name, the newest first: a mistyped one would be told that nothing happened. */
static bool is_known(const struct vault_breach *breach, const char *name)
{
    const struct vault_caller *caller = breach->caller;
    struct kl_err ignored = {0};
    uint64_t number;
    size_t looked_at = 0;
    bool known =
        breach->start == VAULT_BREACH_ROLE && vault_builtin_find(name) != VAULT_BUILTIN_NONE;

    known = known || (caller->policy != NULL && policy_has(breach, caller->policy, name));
    for (number = caller->policy_number; !known && number > 1 && looked_at < POLICIES_LOOKED_AT_MAX;
         number--, looked_at++) {
        struct vault_policy *policy = NULL;
        int64_t applied_us = 0;

        if (vault_policy_load_number(breach->vault, breach->tenant, number - 1, &policy,
                                     &applied_us, &ignored) == KL_OK) {
            known = policy_has(breach, policy, name);
            vault_policy_unref(policy);
        }
        kl_err_clear(&ignored);
    }
    return known;
}

static enum kl_status take_named(struct vault_breach *breach,
                                 const struct vault_breach_input *input, struct kl_err *err)
{
    const bool of_role = input->role != NULL;
    const char *name = of_role ? input->role : input->recipient;
    char *needle = NULL;

    breach->start = of_role ? VAULT_BREACH_ROLE : VAULT_BREACH_RECIPIENT;
    if (!is_known(breach, name)) {
        kl_err_where(err, of_role ? "/role" : "/recipient");
        return kl_fail(err, KL_ERR_INVALID, of_role ? "unknown_role" : "unknown_recipient",
                       of_role ? "no policy there was has this role"
                               : "no policy there was has this recipient",
                       NULL);
    }
    needle = kl_arena_array(breach->arena, strlen(name) + 3, 1);
    if (needle == NULL) {
        return kl_fail_memory(err);
    }
    (void)snprintf(needle, strlen(name) + 3, "\"%s\"", name);
    breach->needles[breach->sought_count] = needle;
    breach->sought[breach->sought_count++] = name;
    return KL_OK;
}

static enum kl_status take_sought(struct vault_breach *breach,
                                  const struct vault_breach_input *input, struct kl_err *err)
{
    const int given =
        (input->credential_count > 0) + (input->role != NULL) + (input->recipient != NULL);

    if (given != 1) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_value",
                       "a report is on credentials, or on a role, or on a recipient", NULL);
    }
    return input->credential_count > 0 ? take_credentials(breach, input, err)
                                       : take_named(breach, input, err);
}

/* ---- which entries ---- */

static int64_t first_made(const struct vault_breach *breach)
{
    int64_t first_us = INT64_MAX;
    size_t i;

    for (i = 0; i < breach->credential_count; i++) {
        first_us = breach->credentials[i].created_us < first_us ? breach->credentials[i].created_us
                                                                : first_us;
    }
    return first_us;
}

static enum kl_status take_period(struct vault_breach *breach,
                                  const struct vault_breach_input *input, struct kl_err *err)
{
    const int64_t now_us = breach->caller->now_us;
    enum kl_status status = KL_OK;

    if (input->from_us == 0 && breach->start != VAULT_BREACH_CREDENTIALS) {
        kl_err_where(err, "/from");
        return kl_fail(err, KL_ERR_INVALID, "missing_key",
                       "from is missing: a role and a recipient have no beginning", NULL);
    }
    breach->from_us = input->from_us == 0 ? first_made(breach) : input->from_us;
    breach->to_us = input->to_us == 0 || input->to_us > now_us ? now_us : input->to_us;
    breach->of_start = true;
    if (breach->from_us > breach->to_us) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_range", "from lies behind to", NULL);
    }
    status =
        vault_audit_first_from(breach->vault, breach->tenant, breach->from_us, &breach->first, err);
    if (status == KL_OK) {
        status = vault_trails_size(breach->vault->trails, breach->tenant, &breach->end, err);
    }
    return status;
}

/* So that a cursor goes on with the report that it is of. */
static void hash_sought(const struct vault_breach *breach, unsigned char ret[SOUGHT_HASH_BYTES])
{
    const unsigned char start = (unsigned char)breach->start;
    crypto_generichash_state state;
    size_t i;

    (void)crypto_generichash_init(&state, NULL, 0, SOUGHT_HASH_BYTES);
    (void)crypto_generichash_update(&state, &start, 1);
    for (i = 0; i < breach->sought_count; i++) {
        (void)crypto_generichash_update(&state, (const unsigned char *)breach->sought[i],
                                        strlen(breach->sought[i]) + 1);
    }
    (void)crypto_generichash_final(&state, ret, SOUGHT_HASH_BYTES);
}

static enum kl_status take_cursor(struct vault_breach *breach, const char *cursor,
                                  struct kl_err *err)
{
    unsigned char hash[SOUGHT_HASH_BYTES];
    struct kl_reader reader;
    struct kl_slice of;
    struct kl_buf position;
    enum kl_status status = KL_OK;

    hash_sought(breach, hash);
    kl_buf_init(&position, POSITION_BYTES);
    status = vault_cursor_open(breach->vault, breach->caller, CURSOR_KIND, cursor, &position, err);
    if (status == KL_OK) {
        reader = kl_reader_of(kl_buf_slice(&position));
        breach->first = kl_read_u64be(&reader);
        breach->end = kl_read_u64be(&reader);
        breach->from_us = (int64_t)kl_read_u64be(&reader);
        breach->to_us = (int64_t)kl_read_u64be(&reader);
        of = kl_read_bytes(&reader, SOUGHT_HASH_BYTES);
        if (!kl_reader_done(&reader) || memcmp(of.bytes, hash, SOUGHT_HASH_BYTES) != 0) {
            status = kl_fail(err, KL_ERR_INVALID, "invalid_cursor",
                             "this cursor is not of a report on the same", NULL);
        }
    }
    kl_buf_done(&position);
    return status;
}

enum kl_status vault_breach_cursor(const struct vault_breach *breach,
                                   char ret[VAULT_CURSOR_MAX_BYTES + 1], struct kl_err *err)
{
    unsigned char hash[SOUGHT_HASH_BYTES];
    enum kl_status status = KL_OK;
    struct kl_buf position;

    ret[0] = '\0';
    if (!breach->more || breach->whole) {
        return KL_OK;
    }
    hash_sought(breach, hash);
    kl_buf_init(&position, POSITION_BYTES);
    kl_buf_add_u64be(&position, breach->next);
    kl_buf_add_u64be(&position, breach->end);
    kl_buf_add_u64be(&position, (uint64_t)breach->from_us);
    kl_buf_add_u64be(&position, (uint64_t)breach->to_us);
    kl_buf_add(&position, hash, sizeof hash);
    status = kl_buf_status(&position, err);
    if (status == KL_OK) {
        status = vault_cursor_seal(breach->vault, breach->caller, CURSOR_KIND,
                                   kl_buf_slice(&position), ret, err);
    }
    kl_buf_done(&position);
    return status;
}

enum kl_status vault_breach_take(struct vault_breach *breach,
                                 const struct vault_breach_input *input, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (!input->whole && (input->limit < 1 || input->limit > VAULT_PAGE_MAX)) {
        kl_err_where(err, "/limit");
        return kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (input->aware_us > breach->caller->now_us) {
        kl_err_where(err, "/aware_at");
        return kl_fail(err, KL_ERR_INVALID, "invalid_time", "aware_at lies ahead", NULL);
    }
    breach->aware_us = input->aware_us == 0 ? breach->caller->now_us : input->aware_us;
    status = take_sought(breach, input, err);
    if (status != KL_OK) {
        return status;
    }
    return input->whole || input->cursor == NULL || input->cursor[0] == '\0'
               ? take_period(breach, input, err)
               : take_cursor(breach, input->cursor, err);
}
