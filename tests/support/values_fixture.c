#include "tests/support/values_fixture.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "vault/rotation.h"
#include "vault/rotation_values.h"
#include "vault/vault_internal.h"

#include <stdio.h>

void values_email(size_t i, char ret[64])
{
    (void)snprintf(ret, 64, "p%zu@example.org", i);
}

void values_people_make(struct vault_fixture *fixture, struct values_people *people)
{
    static const char *const roles[] = {"reader", "writer", "dpo"};
    struct vault_subject_result made;
    char email[64];
    size_t i;

    for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct vault_caller caller = fixture_caller(fixture, roles[i]);

        vault_caller_done(&caller);
    }
    for (i = 0; i < VALUES_PEOPLE; i++) {
        values_email(i, email);
        made = fixture_newsletter(fixture, email, true);
        people->ids[i] = made.id;
        people->records[i] = made.records[0].id;
    }
}

enum kl_status values_patch(struct vault_fixture *fixture, const struct values_people *people,
                            size_t i, const char *name)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("first_name", name);
    uint64_t version = 0;
    enum kl_status status = vault_record_patch(fixture_vault(fixture), &writer, &people->ids[i],
                                               &people->records[i], 0, &field, 1, &version, NULL);

    vault_caller_done(&writer);
    return status;
}

void values_assert_reads(struct vault_fixture *fixture, const struct values_people *people,
                         size_t i, const char *name)
{
    struct vault_subject_result read = {0};
    struct kl_id found;
    char email[64];

    values_email(i, email);
    assert_int_equal(fixture_read(fixture, "reader", &people->ids[i], "mailing", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), email));
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), name));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, &found), 1);
    assert_true(kl_id_equal(&found, &people->ids[i]));
}

void values_assert_all_read(struct vault_fixture *fixture, const struct values_people *people)
{
    size_t i;

    for (i = 0; i < VALUES_PEOPLE; i++) {
        values_assert_reads(fixture, people, i, "Ana Maria");
        kl_arena_reset(fixture->arena);
    }
}

static enum kl_status values_step(struct vault *vault, struct vault_job *job, bool *done)
{
    struct kl_err err = {0};
    enum kl_status status = vault_rotation_values_step(vault, job, NULL, done, &err);

    if (status != KL_OK && status != KL_ERR_BUSY) {
        print_error("%s %s\n", err.code, err.log_text);
    }
    return status;
}

void values_rotate(struct vault *vault, uint64_t tenant, struct vault_job *job)
{
    enum kl_status status = KL_OK;
    bool done = false;

    vault_job_init(job);
    job->tenant = tenant;
    while (!done) {
        status = values_step(vault, job, &done);
        assert_true(status == KL_OK || status == KL_ERR_BUSY);
    }
}

int64_t values_result(const struct vault_job *job, const char *name)
{
    struct kl_json *json = NULL;
    int64_t number = -1;

    assert_int_equal(kl_json_parse(job->result.bytes, job->result.size, &json, NULL), KL_OK);
    assert_true(kl_json_int(kl_json_member(kl_json_root(json), name), &number));
    kl_json_free(json);
    return number;
}

size_t values_rows_beside(struct vault_fixture *fixture)
{
    struct vault_iter *iter = vault_iter_new(fixture_vault(fixture)->data_store, kl_slice_text("w"),
                                             kl_slice_text("x"), false);
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    while (vault_iter_next(iter, &key, &row)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}
