/* A request of access or portability completed with the document that it is owed. */
#include "tests/support/report_fixture.h"
#include "tests/support/request_fixture.h"
#include "tests/support/test.h"

#include <string.h>

struct rendering {
    enum kl_status status;
    size_t reports;
    size_t exports;
};

static enum kl_status finish(const struct rendering *rendering, struct kl_buf *ret,
                             struct kl_err *err)
{
    kl_buf_add_text(ret, "Ana Maes");
    return rendering->status == KL_OK
               ? KL_OK
               : kl_fail(err, rendering->status, "invalid_format", "no such form", NULL);
}

static enum kl_status render_report(void *context, const struct vault_report *report,
                                    struct kl_buf *ret, struct kl_err *err)
{
    struct rendering *rendering = context;

    rendering->reports++;
    assert_true(fixture_value_is(report_field(&report->told, "name", NULL), "Ana Maes"));
    return finish(rendering, ret, err);
}

static enum kl_status render_export(void *context, const struct vault_told *told,
                                    struct kl_buf *ret, struct kl_err *err)
{
    struct rendering *rendering = context;

    rendering->exports++;
    assert_int_equal(told->subject.record_count, 1);
    return finish(rendering, ret, err);
}

static enum kl_status complete(struct vault_fixture *fixture, const char *role,
                               const struct kl_id *request, struct rendering *rendering,
                               struct vault_request_step step, struct kl_buf *document,
                               struct vault_request_result *ret)
{
    const struct vault_answering answering = {.render_report = render_report,
                                              .render_export = render_export,
                                              .context = rendering,
                                              .form = "html.nl",
                                              .document = document};

    step.kind = VAULT_REQUEST_COMPLETE;
    step.answering = &answering;
    kl_buf_init(document, 4096);
    return request_step_as(fixture, fixture_caller(fixture, role), request, &step, ret, NULL);
}

static struct kl_id asked(struct vault_fixture *fixture, const struct kl_id *subject,
                          const char *right)
{
    const struct vault_request_input input = {.subject = *subject, .right = right};
    struct vault_request_result made = {0};

    assert_int_equal(request_try(fixture, fixture_caller(fixture, "dpo"), &input, &made), KL_OK);
    return made.request.id;
}

static void test_a_document_completes_a_request_and_is_named_by_its_hash(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct kl_id request = asked(fixture, &made.id, "access");
    struct rendering rendering = {0};
    struct vault_request_result result = {0};
    struct kl_buf document;

    assert_int_equal(complete(fixture, "dpo", &request, &rendering, (struct vault_request_step){0},
                              &document, &result),
                     KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&document), "Ana Maes"));
    /* printf 'Ana Maes' | sha256sum */
    assert_string_equal(result.request.reference,
                        "access_report/html.nl/sha256:"
                        "622308436878919f8a6a4f48a1c4edbca36dfeafbf4d994dbd4a5664599e3701");
    assert_int_equal(result.request.state, VAULT_REQUEST_COMPLETED);
    assert_int_equal(rendering.reports, 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report\""), 1);
    assert_int_equal(fixture_trail(fixture, "sha256"), 0);
    kl_buf_done(&document);
    request = asked(fixture, &made.id, "portability");
    assert_int_equal(complete(fixture, "dpo", &request, &rendering, (struct vault_request_step){0},
                              &document, &result),
                     KL_OK);
    assert_int_equal(rendering.exports, 1);
    assert_int_equal(strncmp(result.request.reference, "export/", 7), 0);
    kl_buf_done(&document);
}

static void test_what_cannot_be_rendered_leaves_the_request_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    const struct kl_id request = asked(fixture, &made.id, "access");
    struct rendering rendering = {.status = KL_ERR_INVALID};
    struct vault_request_result result = {0};
    struct kl_buf document;

    assert_int_equal(complete(fixture, "dpo", &request, &rendering, (struct vault_request_step){0},
                              &document, &result),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_format");
    assert_int_equal(document.size, 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report\""), 0);
    kl_buf_done(&document);
    assert_int_equal(request_read_as(fixture, fixture_caller(fixture, "dpo"), &request, &result),
                     KL_OK);
    assert_int_equal(result.request.state, VAULT_REQUEST_RECEIVED);
}

static void test_who_may_make_no_document_needs_a_reference(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    const struct kl_id request = asked(fixture, &made.id, "access");
    struct rendering rendering = {0};
    struct vault_request_result result = {0};
    struct kl_buf document;

    assert_int_equal(complete(fixture, "manager", &request, &rendering,
                              (struct vault_request_step){0}, &document, &result),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    kl_buf_done(&document);
    assert_int_equal(complete(fixture, "manager", &request, &rendering,
                              (struct vault_request_step){.reference = "letter-1"}, &document,
                              &result),
                     KL_OK);
    assert_string_equal(result.request.reference, "letter-1");
    assert_int_equal(document.size, 0);
    assert_int_equal(rendering.reports, 0);
    kl_buf_done(&document);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, report_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_document_completes_a_request_and_is_named_by_its_hash),
        TEST(test_what_cannot_be_rendered_leaves_the_request_open),
        TEST(test_who_may_make_no_document_needs_a_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
