/* Secrets of a subject: hashed on the way in, verified, never read back. */
#include "vault/subject_secret.h"
#include "vault/retention.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "vault/limits.h"
#include "vault/subject_internal.h"
#include "vault/volume.h"

#include <assert.h>
#include <string.h>

/* How often a subject is looked at again when its secret was replaced meanwhile. */
#define LOOK_TRIES 16

/* ---- on the way in ---- */

static enum kl_status hash_draft(struct vault *vault, const struct vault_policy_field *field,
                                 struct vault_field_draft *draft, const char *where, size_t number,
                                 struct vault_draft_hashes *hashes, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (draft->value.size < VAULT_SECRET_MIN_BYTES) {
        kl_err_where(err, "%s/fields/%s", where, field->name);
        return kl_failf(err, KL_ERR_INVALID, "secret_too_short", "a secret has at least %d bytes",
                        VAULT_SECRET_MIN_BYTES);
    }
    if (number >= VAULT_SECRETS_INPUT_MAX) {
        kl_err_where(err, "%s/fields/%s", where, field->name);
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_secrets",
                        "a record takes at most %d secrets at once", VAULT_SECRETS_INPUT_MAX);
    }
    if (number >= hashes->count) {
        assert(number == hashes->count);
        status = vault_secrets_enter(vault->secrets, err);
        if (status == KL_OK) {
            status = vault_secret_hash(vault->secrets, draft->value, hashes->hashes[number], err);
            vault_secrets_leave(vault->secrets);
        }
        hashes->count += status == KL_OK ? 1 : 0;
    }
    if (status == KL_OK) {
        draft->value = kl_slice_of(hashes->hashes[number], VAULT_SECRET_HASH_BYTES);
        draft->hashed = true;
    }
    return status;
}

enum kl_status vault_draft_secrets(struct vault *vault, const struct vault_policy *policy,
                                   struct vault_field_draft *drafts, size_t count,
                                   const char *where, struct vault_draft_hashes *hashes,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t number = 0;
    size_t i;

    for (i = 0; status == KL_OK && i < count; i++) {
        const struct vault_policy_field *field = vault_policy_field(policy, drafts[i].field);

        if (field->type == VAULT_TYPE_SECRET && !drafts[i].remove) {
            status = hash_draft(vault, field, &drafts[i], where, number++, hashes, err);
        }
    }
    return status;
}

enum kl_status vault_draft_record_secrets(struct vault *vault, const struct vault_policy *policy,
                                          struct vault_record_draft *draft, const char *where,
                                          struct kl_arena *arena, struct kl_err *err)
{
    struct vault_draft_hashes *hashes = NULL;
    size_t i;

    for (i = 0; i < draft->field_count; i++) {
        if (vault_policy_field(policy, draft->fields[i].field)->type == VAULT_TYPE_SECRET) {
            break;
        }
    }
    if (i == draft->field_count) {
        return KL_OK;
    }
    hashes = kl_arena_array(arena, 1, sizeof *hashes);
    if (hashes == NULL) {
        return kl_fail_memory(err);
    }
    return vault_draft_secrets(vault, policy, draft->fields, draft->field_count, where, hashes,
                               err);
}

/* ---- requests that come again ---- */

static bool brings_secret(const struct vault_policy *policy,
                          const struct vault_record_input *record)
{
    const int type = vault_policy_record_find(policy, record->type);
    size_t i;
    int field;

    for (i = 0; type != VAULT_NONE && i < record->field_count; i++) {
        field = vault_policy_field_find(policy, type, record->fields[i].name);
        if (field != VAULT_NONE && vault_policy_field(policy, field)->type == VAULT_TYPE_SECRET) {
            return true;
        }
    }
    return false;
}

/* The salt is of the credential and its key, so that the same request has the same fingerprint. */
static enum kl_status stretch(struct vault *vault, const struct vault_caller *caller,
                              struct vault_idempotency *idempotency, struct kl_err *err)
{
    unsigned char salt[VAULT_SECRET_SALT_BYTES];
    enum kl_status status = vault_secrets_enter(vault->secrets, err);

    if (status != KL_OK) {
        return status;
    }
    crypto_generichash(salt, sizeof salt, (const unsigned char *)idempotency->key,
                       strlen(idempotency->key), caller->credential.bytes, KL_ID_BYTES);
    status = vault_secret_stretch(
        vault->secrets, kl_slice_of(idempotency->fingerprint, sizeof idempotency->fingerprint),
        salt, idempotency->fingerprint, err);
    vault_secrets_leave(vault->secrets);
    return status;
}

enum kl_status vault_draft_idempotency(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_record_input *records, size_t count,
                                       const struct vault_idempotency *idempotency,
                                       struct vault_idempotency *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_idempotency made = {0};
    const struct vault_query write =
        vault_query_of(caller, VAULT_ACTION_WRITE, VAULT_NONE, VAULT_NONE,
                       caller->bound ? &caller->bound_subject : NULL);
    size_t i;

    if (idempotency != NULL) {
        made = *idempotency;
    }
    if (!vault_policy_may(caller->policy, &write)) {
        count = 0; /* it will be refused, and nothing remembered */
    }
    for (i = 0; made.key != NULL && i < count; i++) {
        if (brings_secret(caller->policy, &records[i])) {
            status = stretch(vault, caller, &made, err);
            break;
        }
    }
    if (status == KL_OK) {
        *ret = made;
    }
    sodium_memzero(&made, sizeof made);
    return status;
}

/* ---- verifying: what is asked about ---- */

struct verifying {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_verify_input *input;
    struct vault_query query;
    struct kl_arena *arena;
    struct kl_slice secret;
    /* what was found */
    uint64_t slot;
    uint64_t record; /* its value slot */
    const char *type;
    const char *field;
    struct kl_slice hash; /* empty: the record has no such secret */
    struct vault_decision decision;
    uint64_t charged;
    struct vault_limit_item tries[2];
};

static enum kl_status take_secret(struct verifying *verifying, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const char *copy = NULL;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_SECRET_MAX_BYTES + 1);
    status = vault_value_normalise(VAULT_TYPE_SECRET, &verifying->input->value, &text, err);
    if (status != KL_OK) {
        kl_err_where(err, "/value");
    } else {
        copy = kl_arena_text(verifying->arena, text.bytes, text.size);
        verifying->secret = kl_slice_of(copy, text.size);
        status = copy == NULL ? kl_fail_memory(err) : KL_OK;
    }
    kl_buf_done(&text);
    return status;
}

/* A role that may verify nothing of this type learns nothing of the record. */
static bool type_is_verifiable(const struct verifying *verifying, int type,
                               const struct vault_facts *facts)
{
    const struct vault_policy *policy = verifying->caller->policy;
    const struct vault_policy_record *of =
        type == VAULT_NONE ? NULL : vault_policy_record(policy, type);
    struct vault_query query = verifying->query;
    int i;

    query.used_up = 0;
    for (i = 0; of != NULL && i < of->field_count; i++) {
        if (vault_policy_decide(policy, &query, facts, of->field_first + i).withheld !=
            VAULT_GATE_ROLE) {
            return true;
        }
    }
    return false;
}

static enum kl_status field_resolve(const struct verifying *verifying, int type, int *ret_field,
                                    struct kl_err *err)
{
    const struct vault_policy *policy = verifying->caller->policy;
    int field = vault_policy_field_find(policy, type, verifying->input->field);

    if (field == VAULT_NONE) {
        kl_err_where(err, "/field");
        return kl_failf(err, KL_ERR_INVALID, "unknown_field",
                        "the policy has no such field in a record of type %s",
                        vault_policy_record(policy, type)->name);
    }
    if (vault_policy_field(policy, field)->type != VAULT_TYPE_SECRET) {
        kl_err_where(err, "/field");
        return kl_fail(err, KL_ERR_INVALID, "field_not_secret",
                       "only a field of type secret is verified; others are read or looked up",
                       NULL);
    }
    *ret_field = field;
    return KL_OK;
}

static enum kl_status decide(struct verifying *verifying, const struct vault_facts *facts,
                             int field, struct kl_err *err)
{
    const struct vault_policy *policy = verifying->caller->policy;
    struct vault_query open = verifying->query;

    verifying->decision = vault_policy_decide(policy, &verifying->query, facts, field);
    verifying->charged = vault_policy_charged(policy, &verifying->query, field);
    if (verifying->decision.withheld == VAULT_GATE_NONE) {
        return KL_OK;
    }
    open.used_up = 0;
    if (vault_policy_decide(policy, &open, facts, field).withheld == VAULT_GATE_NONE) {
        return vault_volume_exceeded(verifying->vault, verifying->caller, err);
    }
    return vault_withheld(err, policy, field, verifying->decision.withheld);
}

/* A record without the field has no hash; what it has of another type (of a time before this policy) is no secret. */
static enum kl_status open_hash(struct verifying *verifying, const struct vault_subject *subject,
                                const struct vault_manifest_record *record, struct kl_err *err)
{
    struct vault_value_wanted wanted = {.record = record};
    enum kl_status status = KL_OK;
    size_t i;

    verifying->hash = kl_slice_of("", 0);
    for (i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].name, verifying->field) == 0 &&
            record->fields[i].type == VAULT_TYPE_SECRET) {
            wanted.field = &record->fields[i];
            status = vault_subject_secret_open(verifying->vault, subject->tenant, subject->slot,
                                               &wanted, verifying->arena, err);
            verifying->hash = status == KL_OK ? wanted.value : verifying->hash;
        }
    }
    return status;
}

static enum kl_status look_at(struct verifying *verifying, struct vault_subject *subject,
                              struct kl_err *err)
{
    const struct vault_caller *caller = verifying->caller;
    const int at = vault_subject_record_find(subject, &verifying->input->record);
    const struct vault_manifest_record *record = at == VAULT_NONE ? NULL : &subject->records[at];
    const int type =
        record == NULL ? VAULT_NONE : vault_policy_record_find(caller->policy, record->type);
    struct vault_facts facts = {0};
    int field = VAULT_NONE;
    enum kl_status status = vault_facts_of(verifying->vault, subject, caller->policy,
                                           &verifying->query, verifying->arena, &facts, err);

    if (status == KL_OK && record != NULL) {
        vault_retention_facts(caller->policy, &verifying->query, record, &facts);
    }
    if (status == KL_OK && !type_is_verifiable(verifying, type, &facts)) {
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        status = field_resolve(verifying, type, &field, err);
    }
    if (status == KL_OK) {
        status = decide(verifying, &facts, field, err);
    }
    if (status == KL_OK) {
        verifying->slot = subject->slot;
        verifying->record = subject->head.records[at].value;
        verifying->type = vault_policy_record(caller->policy, type)->name;
        verifying->field = vault_policy_field(caller->policy, field)->name;
        status = open_hash(verifying, subject, record, err);
    }
    return status;
}

static enum kl_status look(struct verifying *verifying, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject subject = {0};
    unsigned tries = 0;

    do {
        kl_err_clear(err);
        memset(&subject, 0, sizeof subject);
        verifying->query.used_up = vault_volume_used_up(verifying->vault, verifying->caller);
        status = vault_subject_find(verifying->vault, verifying->caller, &verifying->input->subject,
                                    verifying->arena, &subject, err);
        if (status == KL_OK) {
            status = look_at(verifying, &subject, err);
        }
        vault_subject_done(&subject);
    } while (status == KL_ERR_GONE && ++tries < LOOK_TRIES);
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return vault_not_found(err);
    }
    return status;
}

/* ---- verifying: how often ---- */

static void name_tries(struct verifying *verifying)
{
    unsigned char name[3 * 8 + VAULT_NAME_MAX_BYTES];
    const size_t size = strnlen(verifying->field, VAULT_NAME_MAX_BYTES);
    const struct vault_limits *limits = verifying->vault->tries;

    kl_put_u64be(name, verifying->caller->tenant);
    kl_put_u64be(name + 8, verifying->slot);
    kl_put_u64be(name + 16, verifying->record);
    memcpy(name + 24, verifying->field, size);
    verifying->tries[0].key = vault_limits_key(limits, kl_slice_of(name, 24 + size));
    verifying->tries[0].limit =
        (struct vault_limit){VAULT_TRIES_FIELD_MAX, VAULT_TRIES_FIELD_WINDOW_S};
    verifying->tries[1].key =
        vault_limits_key(limits, kl_slice_of(verifying->caller->credential.bytes, KL_ID_BYTES));
    verifying->tries[1].limit =
        (struct vault_limit){VAULT_TRIES_CREDENTIAL_MAX, VAULT_TRIES_CREDENTIAL_WINDOW_S};
}

static void give_try(const struct verifying *verifying)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        vault_limits_give(verifying->vault->tries, &verifying->tries[i], kl_time_monotonic_us());
    }
}

static enum kl_status too_many(uint32_t wait_s, struct kl_err *err)
{
    kl_err_retry(err, wait_s);
    return kl_fail(err, KL_ERR_FORBIDDEN, "too_many_attempts",
                   "too many tries that did not match; try again later", NULL);
}

/* Who has tried too often does not even wait for a turn. */
static enum kl_status look_at_tries(const struct verifying *verifying, struct kl_err *err)
{
    uint32_t wait_s = 0;
    size_t i;

    for (i = 0; i < 2; i++) {
        if (vault_limits_is_full(verifying->vault->tries, &verifying->tries[i],
                                 kl_time_monotonic_us(), &wait_s)) {
            return too_many(wait_s, err);
        }
    }
    return KL_OK;
}

/* The try counts before it is known whether it matches: many at once are no way around. */
static enum kl_status take_try(struct verifying *verifying, struct kl_err *err)
{
    uint32_t wait_s = 0;

    if (!vault_limits_take(verifying->vault->tries, verifying->tries, 2, kl_time_monotonic_us(),
                           &wait_s)) {
        return too_many(wait_s, err);
    }
    if (!vault_volume_take(verifying->vault, verifying->caller, verifying->charged)) {
        give_try(verifying);
        return vault_volume_exceeded(verifying->vault, verifying->caller, err);
    }
    return KL_OK;
}

/* ---- verifying: the trail, and the answer ---- */

static void act_begin(struct vault_act *act, const struct verifying *verifying)
{
    char name[VAULT_FIELD_NAME_BYTES];

    vault_field_name(verifying->type, verifying->field, name);
    vault_subject_act_begin(act, verifying->caller, "verify", verifying->slot);
    kl_json_add_int(&act->out, "record", (int64_t)verifying->record);
    kl_json_add_text(&act->out, "field", name);
    kl_json_add_text(
        &act->out, "purpose",
        vault_policy_purpose(verifying->caller->policy, verifying->query.purpose)->name);
    vault_act_recipient(act, verifying->caller->policy, &verifying->query);
    if (verifying->decision.transfer != VAULT_NONE) {
        vault_subject_act_transfers(act, verifying->caller->policy,
                                    UINT64_C(1) << verifying->decision.transfer);
    }
}

/* Whether it matched is what an auditor looks for: a row of tries that did not, and then one that did. */
static enum kl_status audit_match(const struct verifying *verifying, bool match, struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    enum kl_status status = KL_OK;

    act_begin(&act, verifying);
    kl_json_add_bool(&act.out, "match", match);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(verifying->vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

/* One try too many: of which field is in the trail. Returns why's status, or that the trail cannot be written. */
static enum kl_status audit_refused(const struct verifying *verifying, struct kl_err *why)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    struct kl_err failed = {0};
    enum kl_status status = KL_OK;

    act_begin(&act, verifying);
    kl_json_add_text(&act.out, "result", "refused");
    kl_json_add_text(&act.out, "reason", why->code);
    status = vault_audit_end(&act.entry, &act.out, &failed);
    if (status == KL_OK) {
        status = vault_audit_commit(verifying->vault, entries, 1, &failed);
    }
    vault_act_done(&act);
    if (status != KL_OK) {
        *why = failed;
        return status;
    }
    return why->status;
}

/* One of those who work: there are fewer of them than tries, so that right ones that come at once are not refused. */
static_assert(VAULT_SECRETS_AT_ONCE < VAULT_TRIES_FIELD_MAX, "a crowd is no reason to refuse");
static enum kl_status try_once(struct verifying *verifying, bool *ret_match, struct kl_err *err)
{
    enum kl_status status = take_try(verifying, err);

    if (status != KL_OK) {
        return status;
    }
    status = vault_secret_verify(verifying->vault->secrets, verifying->hash, verifying->secret,
                                 ret_match, err);
    if (status != KL_OK || *ret_match) {
        give_try(verifying);
    }
    return status;
}

/* What was found, and may be verified. */
static enum kl_status verify_found(struct verifying *verifying, bool *ret_match, struct kl_err *err)
{
    bool match = false;
    enum kl_status status = KL_OK;

    name_tries(verifying);
    status = look_at_tries(verifying, err);
    if (status == KL_OK) {
        status = vault_secrets_enter(verifying->vault->secrets, err);
        if (status == KL_OK) {
            status = try_once(verifying, &match, err);
            vault_secrets_leave(verifying->vault->secrets);
        }
    }
    if (status == KL_ERR_FORBIDDEN) {
        return audit_refused(verifying, err);
    }
    if (status == KL_OK) {
        status = audit_match(verifying, match, err);
    }
    if (status == KL_OK) {
        *ret_match = match;
    }
    return status;
}

static enum kl_status verify(struct verifying *verifying, bool *ret_match, struct kl_err *err)
{
    struct vault *vault = verifying->vault;
    const struct vault_caller *caller = verifying->caller;
    enum kl_status status = take_secret(verifying, err);
    struct kl_err ignored = {0};
    uint64_t slot = 0;

    if (status != KL_OK) {
        return status;
    }
    if (verifying->query.role == VAULT_NONE ||
        !vault_policy_may(caller->policy, &verifying->query)) {
        (void)!vault_subject_slot(vault, caller->tenant, &verifying->input->subject, &slot,
                                  &ignored);
        status = vault_not_found(err);
    } else if (vault_volume_is_closed(vault, caller, &verifying->query, NULL)) {
        status = vault_volume_exceeded(vault, caller, err);
    } else {
        status = look(verifying, err);
    }
    if (status != KL_OK) {
        return vault_subject_refused(vault, caller, "verify", verifying->query.purpose, status,
                                     err);
    }
    return verify_found(verifying, ret_match, err);
}

enum kl_status vault_record_verify(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_verify_input *input, bool *ret_match,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct verifying verifying = {.vault = vault, .caller = caller, .input = input};
    struct kl_err own = {0};
    int purpose = VAULT_NONE;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_purpose_resolve(caller, input->purpose, &purpose, err);
    }
    if (status != KL_OK) {
        return status;
    }
    verifying.query =
        vault_query_of(caller, VAULT_ACTION_VERIFY, purpose, VAULT_NONE, &input->subject);
    verifying.arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status = verifying.arena == NULL ? kl_fail_memory(err) : verify(&verifying, ret_match, err);
    kl_arena_free(verifying.arena);
    return status;
}
