/* Lines of the export: NDJSON byte for byte, CEF's escaping, and what an event of OCSF has to have. */
#include "vault/audit_forms.h"

#include "kluis/base/merkle.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define LINE_BYTES (1024 * 1024)

typedef void (*form)(const struct vault_audit_line *line, struct kl_buf *out);

/* The line of an entry; it lives until the next call. */
static const char *line_of(form write, const char *entry, const char *tenant)
{
    static struct kl_buf out;
    struct vault_audit_said said = {0};
    const struct vault_audit_line line = {
        .seq = 42, .entry = kl_slice_text(entry), .said = &said, .tenant_name = tenant};

    kl_buf_done(&out);
    kl_buf_init(&out, LINE_BYTES);
    assert_int_equal(vault_audit_read(line.entry, &said, NULL), KL_OK);
    write(&line, &out);
    assert_int_equal(kl_buf_status(&out, NULL), KL_OK);
    assert_int_equal(out.bytes[out.size - 1], '\n');
    assert_ptr_equal(strchr((const char *)out.bytes, '\n'), out.bytes + out.size - 1);
    vault_audit_said_done(&said);
    return (const char *)out.bytes;
}

static const char read_entry[] =
    "{\"id\":\"aud_1\",\"at\":\"2026-03-02T09:15:00.123456Z\",\"salt\":\"s\",\"action\":\"read\","
    "\"credential\":\"cred_1\",\"role\":\"recruiter\",\"request_id\":\"r-1\",\"location\":\"BE\","
    "\"slot\":77,\"policy\":3,\"purpose\":\"recruitment\",\"recipient\":\"mailer\","
    "\"shown\":[{\"type\":\"applicant\",\"records\":[2],\"fields\":{\"name\":\"plain\","
    "\"email\":\"masked\"},\"withheld\":{\"birth\":\"role\"}}],\"result\":\"ok\"}";
static const char refused_entry[] =
    "{\"id\":\"aud_2\",\"at\":\"2026-03-02T09:15:00.000000Z\",\"salt\":\"s\","
    "\"action\":\"policy_read\",\"credential\":null,\"role\":\"vault\",\"request_id\":null,"
    "\"result\":\"refused\",\"reason\":\"role_forbidden\"}";

/* ---- NDJSON ---- */

static void test_ndjson_has_the_bytes_that_were_hashed(void **state)
{
    static const char head[] = "{\"seq\":42,\"entry\":";
    const char *line = line_of(vault_audit_form_ndjson, read_entry, "default");
    unsigned char expected[KL_MERKLE_HASH_BYTES];
    unsigned char hash[KL_MERKLE_HASH_BYTES];
    size_t size = strlen(line) - strlen(head) - strlen("}\n");

    (void)state;
    assert_memory_equal(line, head, strlen(head));
    kl_merkle_leaf(kl_slice_of(line + strlen(head), size), hash);
    kl_merkle_leaf(kl_slice_text(read_entry), expected);
    assert_memory_equal(hash, expected, sizeof hash);
}

/* ---- CEF ---- */

static void test_cef_says_all_of_an_entry_in_keys_of_the_dictionary(void **state)
{
    (void)state;
    assert_string_equal(
        line_of(vault_audit_form_cef, read_entry, "default"),
        "CEF:0|Kluis|Kluis|" KLUIS_VERSION "|read|subject read|3|"
        "rt=1772442900123 externalId=aud_1 cat=Datastore Activity act=read outcome=success "
        "suid=cred_1 spriv=recruiter cn1Label=seq cn1=42 cn2Label=slot cn2=77 "
        "cs1Label=purposes cs1=recruitment "
        "cs2Label=fields cs2=applicant.name,applicant.email,applicant.birth "
        "cs3Label=requestId cs3=r-1 cs4Label=country cs4=BE cs5Label=tenant cs5=default "
        "cs6Label=recipient cs6=mailer\n");
    assert_string_equal(line_of(vault_audit_form_cef, refused_entry, "default"),
                        "CEF:0|Kluis|Kluis|" KLUIS_VERSION "|policy_read|policy read|5|"
                        "rt=1772442900000 externalId=aud_2 cat=API Activity act=policy_read "
                        "outcome=failure reason=role_forbidden spriv=vault "
                        "cn1Label=seq cn1=42 cs5Label=tenant cs5=default\n");
}

static void test_cef_escapes_what_its_syntax_uses(void **state)
{
    /* In the header | and \ are escaped and = is not; in the extension \ and = are and | is not. */
    const char *line = line_of(
        vault_audit_form_cef,
        "{\"at\":\"2026-03-02T09:15:00.000000Z\",\"action\":\"a|b\\\\c=d\\ne\",\"role\":\"x=y\\\\z|"
        "\\r\\n\\tq\",\"result\":\"ok\"}",
        "t=1");

    (void)state;
    assert_non_null(strstr(line, "|a\\|b\\\\c=d e|a\\|b\\\\c=d e|5|rt="));
    assert_non_null(strstr(line, " act=a|b\\\\c\\=d\\ne outcome="));
    assert_non_null(strstr(line, " spriv=x\\=y\\\\z|\\r\\n q cn1Label="));
    assert_non_null(strstr(line, " cs5=t\\=1\n"));
}

static void test_cef_cuts_a_list_of_names_between_two(void **state)
{
    static char entry[20000];
    size_t size = (size_t)snprintf(
        entry, sizeof entry,
        "{\"at\":\"2026-03-02T09:15:00.000000Z\",\"action\":\"disclose\",\"fields\":[");
    const char *line;
    const char *fields;

    (void)state;
    for (int i = 0; i < 300; i++) {
        size += (size_t)snprintf(entry + size, sizeof entry - size, "%s\"client.f%d\"",
                                 i == 0 ? "" : ",", i % 200);
    }
    (void)snprintf(entry + size, sizeof entry - size, "],\"result\":\"ok\"}");
    line = line_of(vault_audit_form_cef, entry, "default");
    fields = strstr(line, " cs2=");
    assert_non_null(fields);
    assert_memory_equal(fields + 5, "client.f0,client.f1,", 20);
    assert_in_range(strcspn(fields + 5, " "), VAULT_CEF_VALUE_MAX_BYTES - 20,
                    VAULT_CEF_VALUE_MAX_BYTES);
    assert_memory_equal(strchr(fields + 5, ' ') - 4, ",...", 4);
}

static void test_a_refusal_weighs_more_than_what_it_refused(void **state)
{
    size_t count = 0;
    const struct vault_audit_action *actions = vault_audit_actions(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        enum vault_audit_weight done = vault_audit_weight_of(&actions[i], false);
        enum vault_audit_weight refused = vault_audit_weight_of(&actions[i], true);

        assert_int_equal(done, actions[i].weight);
        assert_in_range(refused, VAULT_AUDIT_MEDIUM, VAULT_AUDIT_CRITICAL);
        assert_true(refused > done || done == VAULT_AUDIT_CRITICAL);
    }
}

/* ---- OCSF ---- */

static const struct kl_json_value *at(const struct kl_json_value *value, const char *path)
{
    char key[64];

    while (path[0] != '\0') {
        size_t size = strcspn(path, "/");

        assert_in_range(size, 1, sizeof key - 1);
        memcpy(key, path, size);
        key[size] = '\0';
        value = kl_json_member(value, key);
        path += size + (path[size] == '/');
    }
    return value;
}

static int64_t number_at(const struct kl_json_value *value, const char *path)
{
    int64_t number = -1;

    if (!kl_json_int(at(value, path), &number)) {
        fail_msg("%s is no number", path);
    }
    return number;
}

static const char *text_at(const struct kl_json_value *value, const char *path)
{
    const char *text = kl_json_text(at(value, path));

    if (text == NULL) {
        fail_msg("%s is no text", path);
    }
    return text;
}

/* What OCSF 1.3.0 requires of the two classes (classes/datastore_activity, classes/api_activity, and their objects). */
static void assert_has_all(const struct kl_json_value *event, const char *action)
{
    int64_t class = number_at(event, "class_uid");

    assert_int_equal(number_at(event, "category_uid"), 6);
    assert_true(class == 6003 || class == 6005);
    assert_int_equal(number_at(event, "type_uid"), class * 100 + number_at(event, "activity_id"));
    assert_true(number_at(event, "time") > 1000000000000);
    assert_in_range(number_at(event, "severity_id"), 1, 5);
    assert_in_range(number_at(event, "status_id"), 1, 2);
    assert_string_equal(text_at(event, "metadata/version"), "1.3.0");
    assert_string_equal(text_at(event, "metadata/product/name"), "Kluis");
    assert_string_equal(text_at(event, "metadata/product/vendor_name"), "Kluis");
    assert_string_equal(text_at(event, "metadata/event_code"), action);
    assert_int_equal(number_at(event, "metadata/sequence"), 42);
    assert_true(text_at(event, "activity_name")[0] != '\0');
    assert_true(text_at(event, "actor/user/uid")[0] != '\0');
    assert_true(text_at(event, "src_endpoint/uid")[0] != '\0');
    if (class == 6005) {
        assert_string_equal(text_at(event, "database/name"), "default");
        assert_int_equal(number_at(event, "database/type_id"), 99);
        assert_int_equal(kl_json_type(at(event, "api")), KL_JSON_ABSENT);
    } else {
        assert_string_equal(text_at(event, "api/operation"), action);
    }
}

static struct kl_json *event_of(const char *entry)
{
    const char *line = line_of(vault_audit_form_ocsf, entry, "default");
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(line, strlen(line), &json, NULL), KL_OK);
    return json;
}

static void test_an_event_of_every_action_has_what_ocsf_requires(void **state)
{
    size_t count = 0;
    const struct vault_audit_action *actions = vault_audit_actions(&count);
    char entry[256];

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct kl_json *json;

        (void)snprintf(entry, sizeof entry,
                       "{\"at\":\"2026-03-02T09:15:00.000000Z\",\"action\":\"%s\",\"result\":"
                       "\"ok\"}",
                       actions[i].name);
        json = event_of(entry);
        assert_has_all(kl_json_root(json), actions[i].name);
        assert_int_equal(number_at(kl_json_root(json), "class_uid"), actions[i].ocsf_class);
        kl_json_free(json);
    }
}

static void test_an_event_says_what_the_entry_says(void **state)
{
    struct kl_json *json = event_of(read_entry);
    const struct kl_json_value *event = kl_json_root(json);

    (void)state;
    assert_has_all(event, "read");
    assert_int_equal(number_at(event, "type_uid"), 600501);
    assert_int_equal(number_at(event, "time"), 1772442900123);
    assert_int_equal(number_at(event, "status_id"), 1);
    assert_string_equal(text_at(event, "metadata/uid"), "aud_1");
    assert_string_equal(text_at(event, "metadata/correlation_uid"), "r-1");
    assert_string_equal(text_at(event, "actor/user/uid"), "cred_1");
    assert_int_equal(number_at(event, "actor/user/type_id"), 1);
    assert_string_equal(text_at(event, "src_endpoint/location/country"), "BE");
    assert_int_equal(number_at(event, "unmapped/slot"), 77);
    assert_string_equal(text_at(event, "unmapped/purpose"), "recruitment");
    assert_int_equal(kl_json_count(at(event, "unmapped/shown")), 1);
    assert_int_equal(kl_json_type(at(event, "unmapped/salt")), KL_JSON_ABSENT);
    kl_json_free(json);

    json = event_of(refused_entry);
    event = kl_json_root(json);
    assert_has_all(event, "policy_read");
    assert_int_equal(number_at(event, "status_id"), 2);
    assert_string_equal(text_at(event, "status_code"), "role_forbidden");
    assert_string_equal(text_at(event, "actor/user/uid"), "vault");
    assert_int_equal(number_at(event, "actor/user/type_id"), 3);
    assert_int_equal(number_at(event, "severity_id"), 3);
    kl_json_free(json);
}

static void test_an_action_of_another_version_is_told_all_the_same(void **state)
{
    struct kl_json *json = event_of(
        "{\"at\":\"2026-03-02T09:15:00.000000Z\",\"action\":\"of_old\",\"result\":\"ok\"}");

    (void)state;
    assert_has_all(kl_json_root(json), "of_old");
    assert_int_equal(number_at(kl_json_root(json), "type_uid"), 600399);
    kl_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson_has_the_bytes_that_were_hashed),
        cmocka_unit_test(test_cef_says_all_of_an_entry_in_keys_of_the_dictionary),
        cmocka_unit_test(test_cef_escapes_what_its_syntax_uses),
        cmocka_unit_test(test_cef_cuts_a_list_of_names_between_two),
        cmocka_unit_test(test_a_refusal_weighs_more_than_what_it_refused),
        cmocka_unit_test(test_an_event_of_every_action_has_what_ocsf_requires),
        cmocka_unit_test(test_an_event_says_what_the_entry_says),
        cmocka_unit_test(test_an_action_of_another_version_is_told_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
