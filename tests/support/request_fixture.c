#include "tests/support/request_fixture.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

int64_t request_time(const char *text)
{
    int64_t time_us = 0;

    assert_int_equal(kl_time_parse(text, strlen(text), &time_us, NULL), KL_OK);
    return time_us;
}

struct vault_caller request_officer(struct vault_fixture *fixture, const char *time)
{
    struct vault_caller caller = fixture_caller(fixture, "officer");

    if (time != NULL) {
        caller.now_us = request_time(time);
    }
    return caller;
}

enum kl_status request_try(struct vault_fixture *fixture, struct vault_caller caller,
                           const struct vault_request_input *input,
                           struct vault_request_result *ret)
{
    bool replayed = true;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_request_create(fixture_vault(fixture), &caller, input, NULL, fixture->arena, ret,
                                  &replayed, &fixture->err);
    vault_caller_done(&caller);
    assert_true(status != KL_OK || !replayed);
    return status;
}

struct vault_request_result request_make(struct vault_fixture *fixture, const struct kl_id *subject,
                                         const char *right, const char *received)
{
    const struct vault_request_input input = {.subject = *subject,
                                              .right = right,
                                              .received_us =
                                                  received == NULL ? 0 : request_time(received),
                                              .channel = "e-mail",
                                              .note = "as Ana Maes wrote"};
    struct vault_request_result made = {0};

    if (request_try(fixture, request_officer(fixture, NULL), &input, &made) != KL_OK) {
        fail_msg("no request: %s %s", fixture->err.code, fixture->err.client_text);
    }
    return made;
}

enum kl_status request_read_as(struct vault_fixture *fixture, struct vault_caller caller,
                               const struct kl_id *request, struct vault_request_result *ret)
{
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_request_read(fixture_vault(fixture), &caller, request, fixture->arena, ret,
                                &fixture->err);
    vault_caller_done(&caller);
    return status;
}

enum kl_status request_step_as(struct vault_fixture *fixture, struct vault_caller caller,
                               const struct kl_id *request, const struct vault_request_step *step,
                               struct vault_request_result *ret, struct kl_buf *receipt)
{
    struct kl_buf own;
    bool replayed = false;
    enum kl_status status = KL_OK;

    kl_buf_init(&own, 65536);
    kl_err_clear(&fixture->err);
    status =
        vault_request_take(fixture_vault(fixture), &caller, request, step, NULL, fixture->arena,
                           ret, receipt == NULL ? &own : receipt, &replayed, &fixture->err);
    vault_caller_done(&caller);
    kl_buf_done(&own);
    return status;
}

void request_policy(struct vault_fixture *fixture, const char *line)
{
    static char text[16384];

    (void)snprintf(text, sizeof text, "%s%s", vault_policy_text, line);
    (void)admin_apply(fixture->admin, text);
}

enum kl_status disclosure_read(struct vault_fixture *fixture, const struct kl_id *subject,
                               const char *purpose, const char *recipient)
{
    const struct vault_read_input input = {
        .subject = *subject, .purpose = purpose, .recipient = recipient};
    struct vault_subject_result result = {0};

    return fixture_read_as(fixture, fixture_caller(fixture, "reader"), input, &result);
}

enum kl_status disclosure_note(struct vault_fixture *fixture, const struct kl_id *subject,
                               const char *recipient, const char *purpose, const char *field,
                               const char *note)
{
    const char *const fields[] = {field};
    const struct vault_disclosure_input input = {.recipient = recipient,
                                                 .purpose = purpose,
                                                 .fields = fields,
                                                 .field_count = field == NULL ? 0 : 1,
                                                 .channel = note == NULL ? NULL : "letter",
                                                 .note = note};
    struct vault_caller caller = request_officer(fixture, NULL);
    bool replayed = false;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_disclosure_note(fixture_vault(fixture), &caller, subject, &input, NULL,
                                   &replayed, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

size_t disclosure_list(struct vault_fixture *fixture, const struct kl_id *subject,
                       struct vault_disclosure_result **ret)
{
    struct vault_caller caller = request_officer(fixture, NULL);
    size_t count = 0;

    if (vault_disclosure_list(fixture_vault(fixture), &caller, subject, fixture->arena, ret, &count,
                              &fixture->err) != KL_OK) {
        fail_msg("no disclosures: %s %s", fixture->err.code, fixture->err.client_text);
    }
    vault_caller_done(&caller);
    return count;
}
