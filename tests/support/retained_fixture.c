#include "tests/support/retained_fixture.h"

#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/retained.h"
#include "vault/subject_internal.h"

#define ANSWER_BYTES VAULT_RECEIPT_ANSWER_MAX_BYTES

struct retained_somebody retained_somebody_make(struct vault_fixture *fixture)
{
    const struct vault_field_input clients[] = {fixture_field("email", "c@example.org"),
                                                fixture_field("iban", "BE68 5390 0754 7034")};
    const struct vault_field_input letters[] = {fixture_field("email", "n@example.org"),
                                                fixture_field("first_name", "Ana")};
    const struct vault_record_input records[] = {
        {.type = "client", .fields = clients, .field_count = 2},
        {.type = "newsletter", .fields = letters, .field_count = 2}};
    const struct vault_subject_input input = {.records = records, .record_count = 2};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_subject_result made = {0};
    struct retained_somebody somebody;

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    somebody.subject = made.id;
    somebody.client = made.records[0].id;
    somebody.newsletter = made.records[1].id;
    somebody.tenant = writer.tenant;
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), writer.tenant, &made.id, &somebody.slot, NULL),
        KL_OK);
    vault_caller_done(&writer);
    return somebody;
}

int64_t retained_in_days(int64_t days)
{
    return kl_time_now_us() + days * KL_TIME_DAY_US;
}

enum kl_status retained_hold(struct vault_fixture *fixture, const char *role,
                             const struct retained_somebody *of, const struct kl_id *record,
                             const char *basis, int64_t until_us)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_record_hold(fixture_vault(fixture), &caller, &of->subject, record, basis,
                               until_us, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

size_t retained_erase(struct vault_fixture *fixture, const struct retained_somebody *of,
                      struct kl_id *ret_receipt, struct kl_id *ret_record)
{
    const struct kl_json_value *item = NULL;
    struct kl_json *json = NULL;
    struct kl_json_iter iter;
    struct kl_buf answer;
    size_t count = 0;

    kl_buf_init(&answer, ANSWER_BYTES);
    if (fixture_try_erase(fixture, "dpo", &of->subject, VAULT_ERASE_REQUEST, &answer) != KL_OK) {
        fail_msg("not erased: %s %s", fixture->err.code, fixture->err.log_text);
    }
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    assert_int_equal(kl_id_parse("er", kl_json_text(kl_json_member(kl_json_root(json), "receipt")),
                                 ret_receipt, NULL),
                     KL_OK);
    for (iter = kl_json_iter(kl_json_member(kl_json_root(json), "retained"));
         kl_json_next(&iter, NULL, &item); count++) {
        if (count == 0 && ret_record != NULL) {
            assert_int_equal(
                kl_id_parse("rec", kl_json_text(kl_json_member(item, "record")), ret_record, NULL),
                KL_OK);
            assert_string_equal(kl_json_text(kl_json_member(item, "basis")), "bookkeeping");
            assert_non_null(kl_json_text(kl_json_member(item, "until")));
        }
    }
    kl_json_free(json);
    kl_buf_done(&answer);
    return count;
}

struct kl_id retained_write_stale(struct vault_fixture *fixture, const struct retained_somebody *of,
                                  int64_t until_us)
{
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_subject subject = {0};
    struct vault_kept kept = {.basis = "bookkeeping", .purpose = VAULT_NONE, .until_us = until_us};
    struct vault_retained row = {.tenant = of->tenant,
                                 .slot = of->slot,
                                 .value = 60,
                                 .receipt = kl_id_new(),
                                 .until_us = until_us,
                                 .basis = "bookkeeping"};

    assert_int_equal(
        vault_subject_load(fixture_vault(fixture), of->tenant, of->slot, arena, &subject, NULL),
        KL_OK);
    kept.record = (size_t)vault_subject_record_find(&subject, &of->client);
    kept.fields = subject.records[kept.record].fields;
    kept.field_count = subject.records[kept.record].field_count;
    assert_int_equal(vault_retained_write(fixture_vault(fixture), &subject, &kept, &row, 1, NULL),
                     KL_OK);
    vault_subject_done(&subject);
    kl_arena_free(arena);
    return row.receipt;
}
