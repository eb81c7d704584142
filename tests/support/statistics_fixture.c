#include "tests/support/statistics_fixture.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define POLICY_TEXT_BYTES 8192

int statistics_setup(void **state)
{
    struct vault_fixture *fixture = NULL;
    char policy[POLICY_TEXT_BYTES];

    assert_int_equal(vault_fixture_setup(state), 0);
    fixture = *state;
    (void)snprintf(
        policy, sizeof policy,
        "%son_erase: { keep_statistics: [client.iban: country, newsletter.email: count], "
        "minimum: %d }\n",
        vault_policy_text, STATISTICS_MINIMUM);
    (void)admin_apply(fixture->admin, policy);
    return 0;
}

static unsigned made;

struct vault_subject_result statistics_person(struct vault_fixture *fixture, const char *iban)
{
    char email[64];
    struct vault_field_input fields[2];
    struct vault_record_input record = {.type = "client", .fields = fields, .field_count = 2};
    struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result result = {0};
    struct vault_caller caller = fixture_caller(fixture, "writer");

    (void)snprintf(email, sizeof email, "c%u@example.org", made++);
    fields[0] = fixture_field("email", email);
    fields[1] = fixture_field("iban", iban);
    if (vault_subject_create(fixture_vault(fixture), &caller, &input, NULL, fixture->arena, &result,
                             &fixture->err) != KL_OK) {
        fail_msg("not made: %s", fixture->err.code);
    }
    vault_caller_done(&caller);
    return result;
}

void statistics_come_and_go(struct vault_fixture *fixture, const char *iban, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault_subject_result result = statistics_person(fixture, iban);

        fixture_erase(fixture, &result.id);
    }
}

enum kl_status statistics_publish_in(struct vault_fixture *fixture, int days)
{
    kl_err_clear(&fixture->err);
    return vault_statistics_task.run(fixture_vault(fixture),
                                     kl_time_now_us() + days * KL_TIME_DAY_US, &fixture->err);
}

static struct vault_caller caller_of(struct vault_fixture *fixture, bool of_operator)
{
    struct vault_token token;
    struct kl_id id;

    if (of_operator) {
        return admin_operator(fixture->admin);
    }
    token = admin_make(fixture->admin, "auditor", &id);
    return admin_caller(fixture->admin, &token, NULL);
}

uint64_t statistics_people(struct vault_fixture *fixture, const char *ended, const char *field,
                           const char *value)
{
    struct vault_caller caller = caller_of(fixture, ended != NULL);
    const struct vault_statistics_query query = {
        .field = field, .ended = ended, .limit = VAULT_PAGE_MAX};
    struct kl_arena *arena = kl_arena_new(1024 * 1024);
    struct vault_statistics_cell *cells = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    uint64_t sum = 0;
    size_t count = 0;
    size_t i;

    if (vault_statistics_read(fixture_vault(fixture), &caller, &query, arena, &cells, &count,
                              cursor, &fixture->err) != KL_OK) {
        fail_msg("not read: %s %s", fixture->err.code, fixture->err.log_text);
    }
    assert_string_equal(cursor, "");
    for (i = 0; i < count; i++) {
        assert_true(cells[i].people >= STATISTICS_MINIMUM);
        if (value == NULL || (cells[i].value != NULL && strcmp(cells[i].value, value) == 0)) {
            sum += cells[i].people;
        }
    }
    kl_arena_free(arena);
    vault_caller_done(&caller);
    return sum;
}

uint64_t statistics_clients(struct vault_fixture *fixture)
{
    return statistics_people(fixture, NULL, "client.iban", NULL);
}

static enum kl_status count_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    (void)key;
    (void)value;
    (void)err;
    (*(size_t *)visitor)++;
    return KL_OK;
}

size_t statistics_rows(struct vault_fixture *fixture, const char *kind)
{
    size_t count = 0;

    assert_int_equal(
        kms_side_range(fixture_vault(fixture)->keys, kl_slice_text(kind), count_row, &count, NULL),
        KL_OK);
    return count;
}

enum kl_status statistics_row_keep(void *visitor, struct kl_slice key, struct kl_slice value,
                                   struct kl_err *err)
{
    struct statistics_row *kept = visitor;

    (void)err;
    kept->cohort = kl_get_u64be(key.bytes + 10);
    memcpy(kept->row.bytes, key.bytes + 18, KL_ID_BYTES);
    kl_buf_clear(&kept->value);
    kl_buf_add(&kept->value, value.bytes, value.size);
    return KL_OK;
}
