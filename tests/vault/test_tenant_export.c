/* All of a tenant for its controller to take along: who may, what is told, page by page, and what the trail says of it. */
#include "kluis/vault/tenant_export.h"

#include "tests/support/file_fixture.h"
#include "tests/support/retained_fixture.h"
#include "tests/support/tenant_fixture.h"
#include "tests/support/test.h"
#include "vault/credentials.h"
#include "vault/tenants.h"

#include "kluis/base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX_BYTES (1024 * 1024)
#define GRACE_US (INT64_C(29) * KL_TIME_DAY_US)

/* ---- what is told, as lines ---- */

/* step: bytes that each record counts for, beyond its text. */
struct told {
    struct kl_buf text;
    size_t step;
    size_t counted;
    size_t pages;
    struct vault_tenant_export_page sum;
};

static enum kl_status take_tenant(void *context, const struct vault_exported_tenant *tenant,
                                  struct kl_err *err)
{
    struct told *told = context;

    kl_buf_addf(&told->text, "tenant %s %s %s policy %zu\n", tenant->name, tenant->country.code,
                tenant->ends_us == 0 ? "open" : "ended", tenant->policy.size);
    return kl_buf_status(&told->text, err);
}

static enum kl_status take_subject(void *context, const struct vault_exported_subject *subject,
                                   struct kl_err *err)
{
    struct told *told = context;
    size_t i;

    kl_buf_addf(&told->text, "subject %s of %zu%s", vault_residency_name(subject->residency),
                subject->record_count, subject->restriction.in_force ? " restricted" : "");
    for (i = 0; i < subject->consent_count; i++) {
        kl_buf_addf(&told->text, " consent %s %s %s%s", subject->consents[i].purpose,
                    subject->consents[i].notice,
                    subject->consents[i].evidence == NULL ? "-" : subject->consents[i].evidence,
                    subject->consents[i].counts ? "" : " over");
    }
    for (i = 0; i < subject->objection_count; i++) {
        kl_buf_addf(&told->text, " objection %s", subject->objections[i].purpose);
    }
    for (i = 0; i < subject->disclosure_count; i++) {
        kl_buf_addf(&told->text, " disclosure %s %s", subject->disclosures[i].recipient,
                    subject->disclosures[i].fields[0]);
    }
    for (i = 0; i < subject->request_count; i++) {
        kl_buf_addf(&told->text, " request %s %s", subject->requests[i].request.right,
                    subject->requests[i].request.note);
    }
    kl_buf_add_text(&told->text, "\n");
    return kl_buf_status(&told->text, err);
}

static enum kl_status take_record(void *context, const struct vault_exported_record *record,
                                  struct kl_err *err)
{
    struct told *told = context;
    size_t i;

    kl_buf_addf(&told->text, "%s %s", record->receipt == NULL ? "record" : "kept",
                record->record.type);
    for (i = 0; i < record->record.field_count; i++) {
        const struct vault_field_result *field = &record->record.fields[i];

        kl_buf_addf(&told->text, " %s=%.*s", field->name, (int)field->value.size,
                    (const char *)field->value.bytes);
    }
    for (i = 0; i < record->event_count; i++) {
        kl_buf_addf(&told->text, " event %s", record->events[i].name);
    }
    if (record->hold_basis != NULL) {
        kl_buf_addf(&told->text, " held %s", record->hold_basis);
    }
    kl_buf_add_text(&told->text, "\n");
    told->counted += told->step;
    return kl_buf_status(&told->text, err);
}

static size_t size_of(void *context)
{
    const struct told *told = context;

    return told->counted;
}

static struct vault_tenant_export_sink sink_of(struct told *told)
{
    return (struct vault_tenant_export_sink){take_tenant, take_subject, take_record, size_of, told};
}

static void told_start(struct told *told)
{
    memset(told, 0, sizeof *told);
    kl_buf_init(&told->text, TEXT_MAX_BYTES);
}

static const char *text_of(struct told *told)
{
    kl_buf_add_byte(&told->text, 0);
    told->text.size--;
    return (const char *)told->text.bytes;
}

/* ---- who asks ---- */

static enum kl_status let_in(struct vault_fixture *fixture, const struct vault_token *token,
                             int64_t now_us, struct vault_caller *ret)
{
    const struct vault_proof proof = {.token = token->text};
    struct vault_credential *credential = NULL;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    assert_int_equal(vault_credential_find(fixture_vault(fixture), &proof, &credential, NULL),
                     KL_OK);
    status = vault_caller_of(fixture_vault(fixture), credential, NULL, true, "req1", now_us, ret,
                             &fixture->err);
    vault_credential_unref(credential);
    return status;
}

static struct vault_caller steward(struct vault_fixture *fixture)
{
    struct vault_caller caller;

    assert_int_equal(let_in(fixture, &fixture->admin->steward_token, kl_time_now_us(), &caller),
                     KL_OK);
    return caller;
}

/* One page. */
static enum kl_status page_as(struct vault_fixture *fixture, const struct vault_caller *caller,
                              const char *name, size_t limit, const char *cursor, struct told *told,
                              struct vault_tenant_export_page *ret)
{
    const struct vault_tenant_export_sink sink = sink_of(told);

    kl_err_clear(&fixture->err);
    told->counted = 0;
    return vault_tenant_export(fixture_vault(fixture), caller, name, limit, cursor, &sink, ret,
                               &fixture->err);
}

/* All pages. */
static void export_as(struct vault_fixture *fixture, struct vault_caller *caller, size_t limit,
                      struct told *told)
{
    struct vault_tenant_export_page page = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";

    do {
        assert_int_equal(page_as(fixture, caller, "default", limit, cursor, told, &page), KL_OK);
        memcpy(cursor, page.next_cursor, sizeof cursor);
        told->pages++;
        told->sum.subjects += page.subjects;
        told->sum.records += page.records;
        told->sum.files += page.files;
        told->sum.withheld += page.withheld;
        told->sum.damaged += page.damaged;
        assert_true(told->pages < 1000);
    } while (cursor[0] != '\0');
    vault_caller_done(caller);
}

static void export_all(struct vault_fixture *fixture, size_t limit, struct told *told)
{
    struct vault_caller caller = steward(fixture);

    export_as(fixture, &caller, limit, told);
}

static void close_default(struct vault_fixture *fixture)
{
    int64_t ends_us = 0;

    tenant_put(fixture, "default", "P30D");
    assert_int_equal(tenant_end(fixture, "default", NULL, &ends_us), KL_OK);
    assert_true(ends_us > kl_time_now_us() + GRACE_US);
}

static void reopen_default(struct vault_fixture *fixture)
{
    struct vault_caller chief = admin_operator(fixture->admin);

    assert_int_equal(vault_tenant_restore(fixture_vault(fixture), &chief, "default", &fixture->err),
                     KL_OK);
    vault_caller_done(&chief);
}

static void apply_with(struct vault_fixture *fixture, const char *line)
{
    char *yaml = NULL;

    assert_true(asprintf(&yaml, "%s%s\n", vault_policy_text, line) > 0);
    admin_apply(fixture->admin, yaml);
    free(yaml);
}

/* ---- who may ---- */

static void test_an_open_tenant_is_exported_only_where_its_policy_says_so(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_tenant_export_page page = {.records = 77};
    struct vault_caller caller;
    struct told told;

    (void)fixture_client(fixture, "a@example.org");
    told_start(&told);
    caller = steward(fixture);
    assert_int_equal(page_as(fixture, &caller, "default", 10, NULL, &told, &page),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "return_not_due");
    assert_int_equal(page.records, 77);
    assert_int_equal(told.text.size, 0);
    vault_caller_done(&caller);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"return_not_due\""), 1);

    apply_with(fixture, "return_of_data: at_end");
    caller = steward(fixture);
    assert_int_equal(page_as(fixture, &caller, "default", 10, NULL, &told, &page),
                     KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
    apply_with(fixture, "return_of_data: at_any_time");
    export_all(fixture, 10, &told);
    assert_non_null(strstr(text_of(&told), "email=a@example.org"));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"tenant_export_begin\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"ended\":false"), 2);
    kl_buf_done(&told.text);
}

static void test_nobody_but_its_own_steward_exports_a_tenant(void **state)
{
    struct vault_fixture *fixture = *state;
    struct tenant_other shop = tenant_other_make(fixture, "shop");
    struct vault_tenant_export_page page;
    struct vault_caller caller;
    struct told told;

    apply_with(fixture, "return_of_data: at_any_time");
    told_start(&told);
    caller = fixture_caller(fixture, "reader");
    assert_int_equal(page_as(fixture, &caller, "default", 10, NULL, &told, &page),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    vault_caller_done(&caller);
    caller = admin_caller(fixture->admin, &fixture->admin->operator_token, "default");
    assert_int_equal(page_as(fixture, &caller, "default", 10, NULL, &told, &page),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    vault_caller_done(&caller);
    caller = steward(fixture);
    assert_int_equal(page_as(fixture, &caller, "shop", 10, NULL, &told, &page), KL_ERR_NOT_FOUND);
    assert_int_equal(page_as(fixture, &caller, "default", 0, NULL, &told, &page), KL_ERR_INVALID);
    assert_int_equal(page_as(fixture, &caller, "default", VAULT_PAGE_MAX + 1, NULL, &told, &page),
                     KL_ERR_INVALID);
    assert_int_equal(page_as(fixture, &caller, "default", 10, "AAAA", &told, &page),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    vault_caller_done(&caller);
    caller = admin_caller(fixture->admin, &shop.steward, NULL);
    assert_int_equal(page_as(fixture, &caller, "default", 10, NULL, &told, &page),
                     KL_ERR_NOT_FOUND);
    vault_caller_done(&caller);
    assert_int_equal(told.text.size, 0);
    kl_buf_done(&told.text);
}

static void test_in_the_grace_period_only_the_steward_is_let_in_and_only_for_this(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_token reader = admin_make(fixture->admin, "reader", NULL);
    struct vault_token auditor = admin_make(fixture->admin, "auditor", NULL);
    const struct vault_proof proof = {.token = fixture->admin->steward_token.text};
    struct vault_caller caller;
    int64_t now_us = kl_time_now_us();

    close_default(fixture);
    assert_int_equal(vault_caller_open(fixture_vault(fixture), &proof, NULL, NULL, &caller, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(let_in(fixture, &reader, now_us, &caller), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "tenant_closed");
    assert_int_equal(let_in(fixture, &auditor, now_us, &caller), KL_ERR_FORBIDDEN);
    assert_int_equal(let_in(fixture, &fixture->admin->steward_token, now_us, &caller), KL_OK);
    assert_true(caller.closed_us > now_us);
    vault_caller_done(&caller);
    /* its time has come, and the upkeep has not */
    assert_int_equal(let_in(fixture, &fixture->admin->steward_token,
                            now_us + INT64_C(31) * KL_TIME_DAY_US, &caller),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "tenant_closed");
    assert_int_equal(vault_tenants_due(fixture_vault(fixture),
                                       now_us + INT64_C(31) * KL_TIME_DAY_US, &fixture->err),
                     KL_OK);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, NULL),
                     KL_ERR_UNAUTHORISED);
}

/* ---- what is told ---- */

static void object_and_restrict(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller officer;

    apply_with(fixture,
               "  limiter:\n    - { do: [restrict, consent], fields: [\"*\"], for: [\"*\"] }");
    officer = fixture_caller(fixture, "limiter");
    assert_int_equal(vault_restriction_set(fixture_vault(fixture), &officer, subject,
                                           VAULT_RESTRICTION_ACCURACY_CONTESTED, &fixture->err),
                     KL_OK);
    vault_caller_done(&officer);
}

static void ask_for_access(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller officer = fixture_caller(fixture, "officer");
    const struct vault_request_input input = {
        .subject = *subject, .right = "access", .channel = "phone", .note = "called twice"};
    struct vault_request_result made;
    bool replayed = false;

    assert_int_equal(vault_request_create(fixture_vault(fixture), &officer, &input, NULL,
                                          fixture->arena, &made, &replayed, &fixture->err),
                     KL_OK);
    vault_caller_done(&officer);
}

static void test_everything_of_a_subject_is_told_and_the_trail_has_no_value(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_newsletter(fixture, "mail@example.org", true);
    struct vault_caller caller;
    struct vault_read_input read = {
        .subject = first.id, .purpose = "mailing", .recipient = "mailer"};
    struct vault_subject_result result;
    struct told told;
    const char *text = NULL;

    (void)fixture_client(fixture, "client@example.org");
    caller = fixture_caller(fixture, "reader");
    assert_int_equal(vault_subject_read(fixture_vault(fixture), &caller, &read, fixture->arena,
                                        &result, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    ask_for_access(fixture, &first.id);
    object_and_restrict(fixture, &first.id);
    close_default(fixture);
    told_start(&told);
    export_all(fixture, 100, &told);
    text = text_of(&told);
    assert_int_equal(told.pages, 1);
    assert_int_equal(told.sum.subjects, 2);
    assert_int_equal(told.sum.records, 2);
    assert_non_null(strstr(text, "tenant default IE ended policy "));
    assert_non_null(strstr(text, "subject EEA of 1 restricted consent mailing n1"));
    assert_non_null(strstr(text, " disclosure mailer newsletter.email"));
    assert_non_null(strstr(text, " request access called twice"));
    assert_non_null(strstr(text, "record newsletter email=mail@example.org"));
    assert_non_null(strstr(text, "email=client@example.org"));
    kl_buf_done(&told.text);
    reopen_default(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"tenant_export\""), 2);
    assert_int_equal(fixture_trail(fixture, "\"beside\":4"), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"tenant_export_begin\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"tenant_export_end\""), 1);
    assert_int_equal(fixture_trail(fixture, "example.org"), 0);
}

/* ---- pages ---- */

static void add_clients(struct vault_fixture *fixture, const struct kl_id *subject, size_t count)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_record_result made;
    char notes[32];
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault_field_input field;
        const struct vault_record_input record = {
            .type = "client", .fields = &field, .field_count = 1};

        (void)snprintf(notes, sizeof notes, "note %zu.", i);
        field = fixture_field("notes", notes);
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, subject, &record, NULL,
                                          fixture->arena, &made, &fixture->err),
                         KL_OK);
    }
    vault_caller_done(&writer);
}

static size_t count_of(const char *text, const char *piece)
{
    size_t count = 0;

    for (text = strstr(text, piece); text != NULL; text = strstr(text + 1, piece)) {
        count++;
    }
    return count;
}

static void test_pages_end_between_subjects_and_inside_of_one_and_join(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result many = fixture_client(fixture, "many@example.org");
    struct told whole;
    struct told paged;

    add_clients(fixture, &many.id, 6);
    (void)fixture_client(fixture, "b@example.org");
    (void)fixture_client(fixture, "c@example.org");
    close_default(fixture);
    told_start(&whole);
    export_all(fixture, 100, &whole);
    assert_int_equal(whole.pages, 1);

    told_start(&paged);
    export_all(fixture, 1, &paged);
    assert_int_equal(paged.pages, 3);
    assert_string_equal(text_of(&paged), text_of(&whole));
    kl_buf_done(&paged.text);

    told_start(&paged);
    paged.step = VAULT_TENANT_EXPORT_PAGE_BYTES / 2;
    export_all(fixture, 100, &paged);
    assert_int_equal(paged.pages, 5); /* two records each of nine, the last of which is full */
    assert_string_equal(text_of(&paged), text_of(&whole));
    assert_int_equal(paged.sum.subjects, 3);
    assert_int_equal(paged.sum.records, 9);
    assert_int_equal(count_of(text_of(&paged), "note 3."), 1);
    kl_buf_done(&paged.text);

    told_start(&paged);
    paged.step = 2 * VAULT_TENANT_EXPORT_PAGE_BYTES;
    export_all(fixture, 100, &paged);
    assert_int_equal(paged.pages, 9);
    assert_string_equal(text_of(&paged), text_of(&whole));
    kl_buf_done(&paged.text);
    kl_buf_done(&whole.text);
}

static void test_a_cursor_is_of_its_credential_alone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_token second = admin_make(fixture->admin, "steward", NULL);
    struct vault_tenant_export_page page;
    struct vault_tenant_export_page none;
    struct vault_caller caller;
    struct told told;

    (void)fixture_client(fixture, "a@example.org");
    (void)fixture_client(fixture, "b@example.org");
    close_default(fixture);
    told_start(&told);
    caller = steward(fixture);
    assert_int_equal(page_as(fixture, &caller, "default", 1, NULL, &told, &page), KL_OK);
    vault_caller_done(&caller);
    assert_int_equal(let_in(fixture, &second, kl_time_now_us(), &caller), KL_OK);
    assert_int_equal(page_as(fixture, &caller, "default", 1, page.next_cursor, &told, &none),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    vault_caller_done(&caller);
    kl_buf_done(&told.text);
}

static void test_a_damaged_subject_is_counted_and_keeps_nobody_else_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result hurt = fixture_client(fixture, "hurt@example.org");
    struct told told;

    (void)fixture_client(fixture, "well@example.org");
    fixture_damage(fixture, &hurt.id);
    close_default(fixture);
    told_start(&told);
    export_all(fixture, 100, &told);
    assert_int_equal(told.sum.damaged, 1);
    assert_int_equal(told.sum.subjects, 1);
    assert_non_null(strstr(text_of(&told), "well@example.org"));
    kl_buf_done(&told.text);
}

/* ---- the gate transfer ---- */

static void test_from_outside_the_eea_nothing_goes_without_a_transfer_for_all_purposes(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_credential_input input = {
        .role = "steward", .location = "US", .expires_in = "P1Y"};
    struct vault_credential_result shown;
    struct vault_token abroad;
    struct vault_caller caller = admin_steward(fixture->admin);
    struct told told;

    assert_int_equal(vault_credential_create(fixture_vault(fixture), &caller, &input, NULL, &abroad,
                                             &shown, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    (void)fixture_client(fixture, "a@example.org");
    close_default(fixture); /* the policy's one line is for support, and shows tokens */
    told_start(&told);
    assert_int_equal(let_in(fixture, &abroad, kl_time_now_us(), &caller), KL_OK);
    export_as(fixture, &caller, 100, &told);
    assert_int_equal(told.sum.withheld, 1);
    assert_int_equal(told.sum.subjects + told.sum.records, 0);
    assert_null(strstr(text_of(&told), "example.org"));
    kl_buf_done(&told.text);
    reopen_default(fixture);
    assert_int_equal(fixture_trail(fixture, "\"withheld\":1,\"result\":\"refused\""), 1);
}

/* ---- what erasures kept ---- */

static void test_what_an_erasure_kept_comes_last_until_its_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct kl_id receipt;
    struct vault_subject_result other = fixture_newsletter(fixture, "z@example.org", false);
    struct vault_caller caller;
    struct told told;

    (void)other;
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(10)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), 1);
    close_default(fixture);
    told_start(&told);
    export_all(fixture, 1, &told);
    assert_int_equal(told.sum.subjects, 1);
    assert_int_equal(told.sum.records, 2);
    assert_non_null(strstr(text_of(&told), "\nkept client email="));
    assert_non_null(strstr(text_of(&told), " held bookkeeping\n"));
    kl_buf_done(&told.text);

    told_start(&told);
    assert_int_equal(let_in(fixture, &fixture->admin->steward_token,
                            kl_time_now_us() + INT64_C(11) * KL_TIME_DAY_US, &caller),
                     KL_OK);
    export_as(fixture, &caller, 100, &told);
    assert_int_equal(told.sum.records, 1);
    assert_null(strstr(text_of(&told), "kept"));
    kl_buf_done(&told.text);
}

/* ---- files ---- */

static enum kl_status get_file(struct vault_fixture *fixture, const struct vault_caller *caller,
                               const struct vault_tenant_export_file *file, struct kl_buf *ret)
{
    struct vault_download *download = NULL;
    struct vault_file_info info;
    struct kl_slice piece = {0};
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_tenant_export_file(fixture_vault(fixture), caller, "default", file, &download,
                                      &info, &fixture->err);
    do {
        if (status == KL_OK) {
            status = vault_download_next(download, &piece, &fixture->err);
        }
        if (status == KL_OK) {
            kl_buf_add(ret, piece.bytes, piece.size);
        }
    } while (status == KL_OK && piece.size > 0);
    vault_download_free(download);
    return status;
}

static void test_a_file_goes_along_and_is_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    unsigned char *bytes = file_bytes(3, 150000);
    struct vault_tenant_export_file file = {
        .of = person.id, .record = person.records[0].id, .field = "scan"};
    struct vault_caller caller;
    struct kl_buf got;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, 150000), KL_OK);
    kl_buf_init(&got, 1024 * 1024);
    caller = steward(fixture);
    assert_int_equal(get_file(fixture, &caller, &file, &got), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "return_not_due");
    vault_caller_done(&caller);
    close_default(fixture);
    caller = steward(fixture);
    assert_int_equal(get_file(fixture, &caller, &file, &got), KL_OK);
    assert_int_equal(got.size, 150000);
    assert_memory_equal(got.bytes, bytes, 150000);
    file.field = "title";
    assert_int_equal(get_file(fixture, &caller, &file, &got), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "not_a_file");
    file.field = "photo";
    assert_int_equal(get_file(fixture, &caller, &file, &got), KL_ERR_NOT_FOUND);
    file.field = "scan";
    file.kept = true;
    assert_int_equal(get_file(fixture, &caller, &file, &got), KL_ERR_NOT_FOUND);
    file.kept = false;
    file.record = person.id;
    assert_int_equal(get_file(fixture, &caller, &file, &got), KL_ERR_NOT_FOUND);
    vault_caller_done(&caller);
    reopen_default(fixture);
    assert_int_equal(
        fixture_trail(fixture, "\"action\":\"tenant_export_file\",\"result\":\"ok\"") +
            fixture_trail(fixture, "\"fields\":{\"scan\":\"plain\"}}],\"result\":\"ok\""),
        1);
    kl_buf_done(&got);
    free(bytes);
}

/* ---- earlier ---- */

static void test_a_tenant_ends_early_only_after_it_was_ended(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_buf receipt;

    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    tenant_put(fixture, "default", "P30D");
    assert_int_equal(
        vault_tenant_end_early(fixture_vault(fixture), &caller, "default", &receipt, &fixture->err),
        KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "tenant_open");
    kl_err_clear(&fixture->err);
    assert_int_equal(
        vault_tenant_end_early(fixture_vault(fixture), &caller, "nobody", &receipt, &fixture->err),
        KL_ERR_NOT_FOUND);
    close_default(fixture);
    assert_int_equal(receipt.size, 0);
    kl_err_clear(&fixture->err);
    assert_int_equal(
        vault_tenant_end_early(fixture_vault(fixture), &caller, "default", &receipt, &fixture->err),
        KL_OK);
    assert_true(receipt.size > 0);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, NULL),
                     KL_ERR_UNAUTHORISED);
    vault_caller_done(&caller);
    kl_buf_done(&receipt);
}

#define WITH(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_an_open_tenant_is_exported_only_where_its_policy_says_so),
        WITH(test_nobody_but_its_own_steward_exports_a_tenant),
        WITH(test_in_the_grace_period_only_the_steward_is_let_in_and_only_for_this),
        WITH(test_everything_of_a_subject_is_told_and_the_trail_has_no_value),
        WITH(test_pages_end_between_subjects_and_inside_of_one_and_join),
        WITH(test_a_cursor_is_of_its_credential_alone),
        WITH(test_a_damaged_subject_is_counted_and_keeps_nobody_else_back),
        WITH(test_from_outside_the_eea_nothing_goes_without_a_transfer_for_all_purposes),
        WITH(test_what_an_erasure_kept_comes_last_until_its_end),
        cmocka_unit_test_setup_teardown(test_a_file_goes_along_and_is_in_the_trail,
                                        file_fixture_setup, vault_fixture_teardown),
        WITH(test_a_tenant_ends_early_only_after_it_was_ended),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
