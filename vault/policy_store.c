/* The policy of a tenant in the store: every version applied stays, a row says which is in force. */
#include "kluis/base/log.h"
#include "vault/act.h"
#include "vault/journal.h"
#include "vault/place.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/webhook_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_FORMAT 2
#define FORCE_BYTES (8 + KMS_MAC_BYTES)
#define ROW_HEADER_MAX_BYTES 128

/* ---- rows ---- */

/*
 * A keyed hash over number and content: who can write to data/ but has no key puts no policy in force but one that was. what tells
 * apart the row of a policy and the row that says which is in force.
 */
static enum kl_status row_seal(struct vault *vault, uint64_t tenant, const char *what,
                               uint64_t number, struct kl_slice content,
                               unsigned char ret_seal[KMS_MAC_BYTES], struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct kms_place place = {tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};
    struct kl_buf data = {0};

    kl_buf_init(&data, VAULT_POLICY_BYTES_MAX + 2 * ROW_HEADER_MAX_BYTES);
    kl_buf_add_u64be(&data, number);
    kl_buf_add(&data, content.bytes, content.size);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = kms_mac(vault->keys, &place, what, kl_buf_slice(&data), ret_seal, err);
    }
    kl_buf_done(&data);
    return status;
}

/* format, a byte that earlier versions set (what they did not enforce was accepted), when, by whom, the text; behind it the keyed hash. */
static void write_row(const struct vault_caller *caller, struct kl_slice yaml, struct kl_buf *ret)
{
    kl_buf_add_byte(ret, ROW_FORMAT);
    kl_buf_add_byte(ret, 0);
    kl_buf_add_u64be(ret, (uint64_t)caller->now_us);
    kl_buf_add(ret, caller->credential.bytes, KL_ID_BYTES);
    kl_buf_add_sized(ret, yaml.bytes, yaml.size);
}

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "policy_damaged",
                   "the stored policy is damaged: apply it again", NULL);
}

/* Take the keyed hash off the end of a row, if it is the one that belongs there. KL_ERR_CORRUPT "policy_damaged". */
static enum kl_status row_check(struct vault *vault, uint64_t tenant, const char *what,
                                uint64_t number, struct kl_slice *row, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char seal[KMS_MAC_BYTES];
    struct kl_slice content;

    if (row->size < KMS_MAC_BYTES) {
        return damaged(err);
    }
    content = kl_slice_of(row->bytes, row->size - KMS_MAC_BYTES);
    status = row_seal(vault, tenant, what, number, content, seal, err);
    if (status == KL_OK && sodium_memcmp(seal, content.bytes + content.size, KMS_MAC_BYTES) != 0) {
        status = damaged(err);
    }
    if (status == KL_OK) {
        *row = content;
    }
    return status;
}

static enum kl_status number_in_force(struct vault *vault, uint64_t tenant, uint64_t *ret_number,
                                      struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_policy(tenant, 0);
    struct kl_buf row = {0};
    struct kl_slice content;
    struct kl_err cause = {0};
    uint64_t number = 0;

    kl_buf_init(&row, ROW_HEADER_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "no_policy", "this tenant has no policy yet", NULL);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else if (row.size != FORCE_BYTES) {
        status = damaged(err);
    } else {
        content = kl_buf_slice(&row);
        number = kl_get_u64be(row.bytes);
        status = row_check(vault, tenant, "policy-in-force", number, &content, err);
    }
    if (status == KL_OK) {
        *ret_number = number;
    }
    kl_buf_done(&row);
    return status;
}

/* ret_applied_us: when it was put in force. */
static enum kl_status row_read(struct vault *vault, uint64_t tenant, uint64_t number,
                               struct kl_buf *ret_yaml, int64_t *ret_applied_us, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_policy(tenant, number);
    struct kl_buf row = {0};
    struct kl_reader reader;
    struct kl_slice content;
    struct kl_slice yaml;
    struct kl_err cause = {0};
    int64_t applied_us;
    uint8_t format;

    kl_buf_init(&row, VAULT_POLICY_BYTES_MAX + ROW_HEADER_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        status = damaged(err);
        goto out;
    }
    if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        goto out;
    }
    content = kl_buf_slice(&row);
    status = row_check(vault, tenant, "policy", number, &content, err);
    if (status != KL_OK) {
        goto out;
    }
    reader = kl_reader_of(content);
    format = kl_read_byte(&reader);
    (void)kl_read_byte(&reader);
    applied_us = (int64_t)kl_read_u64be(&reader);
    (void)kl_read_bytes(&reader, KL_ID_BYTES);
    yaml = kl_read_sized(&reader);
    if (!kl_reader_done(&reader) || format != ROW_FORMAT) {
        status = damaged(err);
        goto out;
    }
    kl_buf_add(ret_yaml, yaml.bytes, yaml.size);
    status = kl_buf_status(ret_yaml, err);
    *ret_applied_us = applied_us;

out:
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_policy_text_read(struct vault *vault, uint64_t tenant, uint64_t number,
                                      struct kl_buf *ret_yaml, struct kl_err *err)
{
    int64_t applied_us = 0;

    return row_read(vault, tenant, number, ret_yaml, &applied_us, err);
}

/* That of the policy in force. ret_number is set also when the text turns out damaged. */
static enum kl_status read_in_force(struct vault *vault, uint64_t tenant, struct kl_buf *ret_yaml,
                                    uint64_t *ret_number, struct kl_err *err)
{
    uint64_t number = 0;
    enum kl_status status = number_in_force(vault, tenant, &number, err);

    if (status != KL_OK) {
        return status;
    }
    *ret_number = number;
    return vault_policy_text_read(vault, tenant, number, ret_yaml, err);
}

enum kl_status vault_policy_load_number(struct vault *vault, uint64_t tenant, uint64_t number,
                                        struct vault_policy **ret_policy, int64_t *ret_applied_us,
                                        struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf yaml = {0};

    kl_buf_init(&yaml, VAULT_POLICY_BYTES_MAX + 1);
    status = row_read(vault, tenant, number, &yaml, ret_applied_us, err);
    if (status == KL_OK) {
        status = vault_policy_compile(yaml.bytes, yaml.size, ret_policy, err);
    }
    kl_buf_done(&yaml);
    return status;
}

/* Its tests passed when it was applied; time may have changed their outcome since. */
enum kl_status vault_policy_load(struct vault *vault, uint64_t tenant,
                                 struct vault_policy **ret_policy, uint64_t *ret_number,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf yaml = {0};

    kl_buf_init(&yaml, VAULT_POLICY_BYTES_MAX + 1);
    status = read_in_force(vault, tenant, &yaml, ret_number, err);
    if (status == KL_OK) {
        status = vault_policy_compile(yaml.bytes, yaml.size, ret_policy, err);
    }
    kl_buf_done(&yaml);
    return status;
}

/* ---- read ---- */

enum kl_status vault_policy_read(struct vault *vault, const struct vault_caller *caller,
                                 struct kl_buf *ret_yaml, uint64_t *ret_number, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR, "policy_read", err);

    if (status != KL_OK) {
        return status;
    }
    return read_in_force(vault, caller->tenant, ret_yaml, ret_number, err);
}

/* ---- apply ---- */

/* What stands between stored records of a type and the new policy; NULL: nothing. ret_field NULL: the type as a whole. */
static const char *clash(const struct vault_policy *now, int record,
                         const struct vault_policy *next, const char **ret_field)
{
    const struct vault_policy_record *type = vault_policy_record(now, record);
    int next_record = vault_policy_record_find(next, type->name);
    int i;

    *ret_field = NULL;
    if (next_record == VAULT_NONE) {
        return "is gone";
    }
    for (i = type->field_first; i < type->field_first + type->field_count; i++) {
        const struct vault_policy_field *field = vault_policy_field(now, i);
        int next_field = vault_policy_field_find(next, next_record, field->name);

        *ret_field = field->name;
        if (next_field == VAULT_NONE) {
            return "is gone";
        }
        if (vault_policy_field(next, next_field)->type != field->type) {
            return "has another type";
        }
        if (vault_policy_field(next, next_field)->index != field->index) {
            return "has another index";
        }
    }
    return NULL;
}

static enum kl_status check_in_use(struct vault *vault, uint64_t tenant,
                                   const struct vault_policy *now, const struct vault_policy *next,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const char *type;
    const char *field = NULL;
    const char *what;
    bool in_use = false;
    int i;

    for (i = 0; i < (int)vault_policy_record_count(now); i++) {
        type = vault_policy_record(now, i)->name;
        what = clash(now, i, next, &field);
        if (what == NULL) {
            continue;
        }
        status = vault_subject_type_in_use(vault, tenant, type, &in_use, err);
        if (status != KL_OK) {
            return status;
        }
        if (in_use) {
            return kl_failf(err, KL_ERR_CONFLICT, "policy_in_use",
                            "%s%s%s %s, and subjects have records of that type", type,
                            field == NULL ? "" : ".", field == NULL ? "" : field, what);
        }
    }
    return KL_OK;
}

/* A policy's row, with its seal, and the row that says it is the one in force. */
static enum kl_status rows_put(struct vault *vault, uint64_t tenant, uint64_t number,
                               struct kl_slice row, struct vault_batch *batch, struct kl_err *err)
{
    struct vault_row_key row_key = vault_row_policy(tenant, number);
    struct vault_row_key force_key = vault_row_policy(tenant, 0);
    unsigned char force[FORCE_BYTES];
    enum kl_status status = KL_OK;

    kl_put_u64be(force, number);
    status =
        row_seal(vault, tenant, "policy-in-force", number, kl_slice_of(force, 8), force + 8, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&row_key), row);
        vault_batch_put(batch, vault_row_slice(&force_key), kl_slice_of(force, sizeof force));
    }
    return status;
}

enum kl_status vault_policy_put_back(struct vault *vault, uint64_t tenant, uint64_t number,
                                     struct kl_slice row, struct vault_batch *batch,
                                     bool *ret_newer, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_slice content = row;
    struct kl_err cause = {0};
    uint64_t now = 0;

    status = number_in_force(vault, tenant, &now, &cause);
    if (status != KL_OK && status != KL_ERR_NOT_FOUND && status != KL_ERR_CORRUPT) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_newer = now < number;
    if (now >= number) {
        return KL_OK;
    }
    status = row_check(vault, tenant, "policy", number, &content, err);
    return status == KL_OK ? rows_put(vault, tenant, number, row, batch, err) : status;
}

/* ---- how long the trail is kept ---- */

/* Whether less of the trail is kept than before; without a policy all of it was. */
static bool is_shortened(const struct vault_policy *was, const struct vault_policy *policy)
{
    const struct vault_policy_audit *now = vault_policy_audit(policy);
    const struct vault_policy_audit *before = was == NULL ? NULL : vault_policy_audit(was);

    if (!now->has_keep) {
        return false;
    }
    return before == NULL || !before->has_keep ||
           kl_time_add(0, &now->keep) < kl_time_add(0, &before->keep) ||
           (before->keep_unreviewed && !now->keep_unreviewed);
}

static void add_keep(const struct vault_policy *policy, struct kl_json_out *out)
{
    const struct vault_policy_audit *audit = vault_policy_audit(policy);
    char keep[KL_DURATION_TEXT_BYTES];

    kl_duration_format(&audit->keep, keep);
    kl_json_add_text(out, "audit_keep", audit->has_keep ? keep : NULL);
    kl_json_add_bool(out, "audit_keep_unreviewed", audit->keep_unreviewed || !audit->has_keep);
}

/* A shorter period: whoever watches the tenant is told, and has until counts_at to object. */
static enum kl_status tell_shortened(struct vault *vault, const struct vault_caller *caller,
                                     const struct vault_policy *policy, uint64_t number,
                                     struct vault_act *act, struct vault_batch *batch,
                                     struct vault_webhook_put *ret_put, struct kl_err *err)
{
    const struct kl_duration delay = {.days = KL_TRAIL_KEEP_DELAY_DAYS};
    const int64_t counts_us = kl_time_add(caller->now_us, &delay);
    struct vault_webhook_said said = {.id = kl_id_new(),
                                      .kind = VAULT_WEBHOOK_ALERTS,
                                      .type = "kluis.audit.keep_shortened",
                                      .at_us = caller->now_us};
    char id[KL_ID_TEXT_BYTES];
    struct kl_buf data;
    struct kl_json_out out = kl_json_out(&data);
    enum kl_status status;

    kl_buf_init(&data, VAULT_WEBHOOK_DATA_MAX_BYTES);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "policy", (int64_t)number);
    add_keep(policy, &out);
    kl_json_add_time(&out, "counts_at", counts_us);
    kl_id_format("aud", &act->entry.id, id);
    kl_json_add_text(&out, "entry", id);
    kl_json_object_end(&out);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        said.data = kl_buf_slice(&data);
        status = vault_webhook_put(vault, caller->tenant, NULL, &said, batch, ret_put, err);
    }
    kl_buf_done(&data);
    if (status == KL_OK) {
        kl_json_add_time(&act->out, "audit_keep_counts_at", counts_us);
        vault_webhook_put_say(ret_put, &act->out);
    }
    return status;
}

static enum kl_status store_policy(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_policy *was,
                                   const struct vault_policy *policy, uint64_t number,
                                   struct kl_slice yaml, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    unsigned char seal[KMS_MAC_BYTES];
    struct kl_buf row = {0};
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    struct vault_closing closing = {
        .kind = VAULT_CLOSING_POLICY, .tenant = caller->tenant, .policy = number};
    struct vault_webhook_put put = {.count = 0};
    struct vault_batch *batch = vault_batch_new();

    kl_buf_init(&row, VAULT_POLICY_BYTES_MAX + ROW_HEADER_MAX_BYTES);
    vault_act_begin(&act, caller->tenant, &who, "policy_apply");
    kl_json_add_text(&act.out, "policy", vault_policy_name(policy));
    kl_json_add_text(&act.out, "version", vault_policy_version(policy));
    kl_json_add_int(&act.out, "number", (int64_t)number);
    add_keep(policy, &act.out);
    write_row(caller, yaml, &row);
    status = kl_buf_status(&row, err);
    if (status == KL_OK) {
        status = row_seal(vault, caller->tenant, "policy", number, kl_buf_slice(&row), seal, err);
    }
    if (status == KL_OK) {
        kl_buf_add(&row, seal, sizeof seal);
        status = kl_buf_status(&row, err);
    }
    if (status != KL_OK) {
        goto out;
    }
    if (batch == NULL) {
        status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "policy: no batch");
        goto out;
    }
    status = rows_put(vault, caller->tenant, number, kl_buf_slice(&row), batch, err);
    closing.at_us = caller->now_us;
    closing.body = kl_buf_slice(&row);
    if (status == KL_OK && is_shortened(was, policy)) {
        status = tell_shortened(vault, caller, policy, number, &act, batch, &put, err);
    }
    if (status == KL_OK) {
        status = vault_journal_write(vault, &closing, err);
    }
    if (status == KL_OK) {
        status = vault_act_commit_closing(vault, acts, 1, batch, &closing, err);
    }
    vault_webhook_put_end(vault, &put, status == KL_OK);

out:
    vault_journal_end(vault, &closing);
    vault_batch_free(batch);
    vault_act_done(&act);
    kl_buf_done(&row);
    return status;
}

/* Whom the policy takes for the EEA when nothing else is said could not be stored at all. */
static enum kl_status check_store(const struct vault *vault, const struct vault_policy *policy,
                                  struct kl_err *err)
{
    if (vault_residency_place(vault_policy_residency_default(policy), vault->country, NULL) ==
        KL_OK) {
        return KL_OK;
    }
    return kl_failf(
        err, KL_ERR_CONFLICT, "store_residency",
        "this tenant's store, %s, lies in %s, and the policy's residency is EEA: it needs a store in the EEA, "
        "or residency: { default: none }",
        vault->name, vault->country.code);
}

/* The turn is held. Takes over policy when it returns KL_OK. */
static enum kl_status put_in_force(struct vault *vault, const struct vault_caller *caller,
                                   struct vault_policy *policy, struct kl_slice yaml,
                                   uint64_t *ret_number, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_tenant *tenant = vault_tenants_by_number(vault, caller->tenant);
    struct vault_policy *now = NULL;
    uint64_t number = 0;

    if (tenant == NULL) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "unknown_tenant", "there is no such tenant", NULL);
    }
    now = vault_tenant_policy(vault, tenant, &number);
    if (now != NULL) {
        status = check_in_use(vault, caller->tenant, now, policy, err);
    }
    if (status == KL_OK) {
        status = check_store(vault, policy, err);
    }
    if (status == KL_OK) {
        status = vault_copies_allowed(vault, policy, caller->now_us, err);
    }
    if (status == KL_OK) {
        status = store_policy(vault, caller, now, policy, number + 1, yaml, err);
    }
    vault_policy_unref(now);
    if (status == KL_OK) {
        vault_tenant_policy_swap(vault, tenant, policy, number + 1);
        *ret_number = number + 1;
    }
    return status;
}

enum kl_status vault_policy_apply(struct vault *vault, const struct vault_caller *caller,
                                  const void *yaml, size_t yaml_bytes,
                                  struct vault_findings *ret_findings, uint64_t *ret_number,
                                  struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_STEWARD, "policy_apply", err);
    struct vault_policy *policy = NULL;

    if (status != KL_OK) {
        return status;
    }
    status = vault_policy_parse(yaml, yaml_bytes, ret_findings, &policy, err);
    if (status == KL_OK) {
        vault_turn_take(&vault->turn);
        status =
            put_in_force(vault, caller, policy, kl_slice_of(yaml, yaml_bytes), ret_number, err);
        vault_turn_give(&vault->turn);
    }
    if (status != KL_OK) {
        vault_policy_unref(policy);
    }
    return status;
}
