/* A receipt made here, with nothing of a vault, as vault/receipt.h says; and every way in which one may not be what it says. */
#include "kluis/base/receipt.h"

#include "kluis/base/encode.h"
#include "tests/support/test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 16384
#define RECEIPT "er_0000000000000000000000000A"
#define ENTRY "aud_0000000000000000000000000B"

static unsigned char keys[3][KL_TRAIL_KEY_BYTES];
static unsigned char secrets[3][crypto_sign_SECRETKEYBYTES];
static const unsigned char secret[KL_RECEIPT_SECRET_BYTES] = {9, 9, 9};
static struct kl_id subject;
static struct kl_id record;
static struct kl_receipt_checks checks;

/*
 * What is to be other than in a receipt that holds: in the signed text (before it is signed), in the entry (before it is hashed), or in the whole
 * (afterwards) one piece of text by another. kind: of the receipt. links: changes of the key between the one that signs and key 0.
 */
struct change {
    const char *of;
    const char *by;
};
struct make {
    struct change said;
    struct change entry;
    struct change whole;
    bool is_answer;
    bool is_tenant;
    bool without_text; /* the entry's is gone */
    int links;
};

static int setup(void **state)
{
    int i;

    (void)state;
    assert_true(sodium_init() >= 0);
    for (i = 0; i < 3; i++) {
        assert_int_equal(crypto_sign_keypair(keys[i], secrets[i]), 0);
    }
    subject = kl_id_new();
    record = kl_id_new();
    return 0;
}

static const char *b64(const void *bytes, size_t size)
{
    static char texts[16][KL_BASE64_CHARS(64) + 1];
    static unsigned turn;
    char *text = texts[turn++ % 16];

    kl_base64(bytes, size, text);
    return text;
}

static void apply(char text[TEXT_MAX], struct change change)
{
    static char copy[TEXT_MAX];
    char *at = NULL;

    if (change.of == NULL) {
        return;
    }
    at = strstr(text, change.of);
    assert_non_null(at);
    memcpy(copy, text, TEXT_MAX);
    (void)snprintf(at, TEXT_MAX - (size_t)(at - text), "%s%s", change.by,
                   copy + (at - text) + strlen(change.of));
}

static void add_signature(char text[TEXT_MAX], int key, char ret_text[KL_BASE64_CHARS(64) + 1])
{
    unsigned char signature[crypto_sign_BYTES];

    (void)crypto_sign_detached(signature, NULL, (unsigned char *)text, strlen(text), secrets[key]);
    kl_base64(signature, sizeof signature, ret_text);
}

static void entry_make(const struct make *make, char ret_text[TEXT_MAX])
{
    (void)snprintf(
        ret_text, TEXT_MAX,
        make->is_tenant
            ? "{\"id\":\"" ENTRY
              "\",\"at\":\"2026-03-02T09:15:00.000000Z\",\"salt\":\"x\",\"action\":\"tenant_end\","
              "\"credential\":\"cred_1\",\"role\":\"operator\",\"request_id\":\"r\",\"generation\":7,\"tenant\":\"acme\","
              "\"audit_size\":5,\"audit_root_hash\":\"%s\",\"tenant_public_key\":\"%s\",\"receipt\":\"" RECEIPT
              "\","
              "\"reason\":\"tenant_end\",\"result\":\"ok\"}"
            : "{\"id\":\"" ENTRY
              "\",\"at\":\"2026-03-02T09:15:00.000000Z\",\"salt\":\"x\",\"action\":\"erase\","
              "\"credential\":\"cred_1\",\"role\":\"dpo\",\"request_id\":\"r\",\"generation\":7,\"slot\":70,\"receipt\":\"" RECEIPT
              "\","
              "\"reason\":\"request\",\"records\":2,\"fields\":5,\"result\":\"ok\"}",
        b64(keys[1], 32), b64(keys[2], 32));
    apply(ret_text, make->entry);
}

static void said_make(const struct make *make, int signer, const unsigned char leaf[32],
                      char ret_text[TEXT_MAX])
{
    unsigned char commitments[2][32];
    int size = 0;

    kl_receipt_commit(secret, &subject, NULL, commitments[0]);
    kl_receipt_commit(secret, &subject, &record, commitments[1]);
    size = snprintf(
        ret_text, TEXT_MAX,
        "{\"receipt\":\"" RECEIPT
        "\",\"kind\":\"%s\",\"store\":\"00ff\",\"tenant\":\"%s\",\"erased_at\":\"2026-03-02T09:15:01.000000Z\","
        "\"reason\":\"%s\",\"credential\":\"cred_1\",\"request_id\":\"r\",",
        make->is_tenant ? "tenant" : "subject", make->is_tenant ? "acme" : "default",
        make->is_tenant ? "tenant_end" : "request");
    if (make->is_tenant) {
        size +=
            snprintf(ret_text + size, TEXT_MAX - (size_t)size,
                     "\"audit\":{\"size\":5,\"root_hash\":\"%s\"},\"tenant_public_key\":\"%s\",",
                     b64(keys[1], 32), b64(keys[2], 32));
    } else {
        size += snprintf(
            ret_text + size, TEXT_MAX - (size_t)size,
            "\"records_erased\":2,\"fields_erased\":5,\"retained\":[{\"basis\":\"tax\",\"until\":\"2030-01-01T00:00:00.000000Z\",\"commitment\":"
            "\"%s\"}],\"notify\":[\"printer\"],\"notify_complete\":true,\"lookup_traces_until\":null,",
            b64(commitments[1], 32));
    }
    size += snprintf(
        ret_text + size, TEXT_MAX - (size_t)size,
        "\"finality\":\"F1\",\"mirrors\":{\"confirmed\":1,\"pending\":[]},\"generation\":{\"from\":6,\"to\":7},\"key_tree_root\":{\"from\":\"%s\",\"to\":"
        "\"%s\"},\"entry\":{\"id\":\"" ENTRY "\",\"leaf_hash\":\"%s\"},",
        b64(commitments[0], 32), b64(commitments[1], 32), b64(leaf, 32));
    if (!make->is_tenant) {
        size += snprintf(ret_text + size, TEXT_MAX - (size_t)size, "\"commitment\":\"%s\",",
                         b64(commitments[0], 32));
    }
    (void)snprintf(ret_text + size, TEXT_MAX - (size_t)size,
                   "\"algorithm\":\"Ed25519\",\"public_key\":\"%s\"}", b64(keys[signer], 32));
    apply(ret_text, make->said);
}

/* A tree of two leaves, of which the second is the entry's. */
static void head_make(const struct make *make, int signer, const unsigned char leaf[32],
                      struct kl_buf *out)
{
    struct kl_trail_head head = {.size = 2, .at = "2026-03-02T09:16:00.000000Z"};
    struct kl_buf text;

    (void)snprintf(head.tenant, sizeof head.tenant, "%s", make->is_tenant ? "" : "default");
    kl_merkle_node(keys[0], leaf, head.root);
    memcpy(head.key, keys[signer], sizeof head.key);
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_text(&head, &text);
    (void)crypto_sign_detached(head.signature, NULL, text.bytes, text.size, secrets[signer]);
    kl_buf_addf(
        out,
        "\"proof\":{\"tenant\":\"%s\",\"leaf_index\":1,\"size\":2,\"leaf_hash\":\"%s\",\"hashes\":[\"%s\"],\"root_hash\":\"%s\"},\"head\":",
        head.tenant, b64(leaf, 32), b64(keys[0], 32), b64(head.root, 32));
    kl_trail_head_write(&head, out);
    kl_buf_done(&text);
}

static void keys_make(const struct make *make, struct kl_buf *out)
{
    int i;

    kl_buf_addf(out, ",\"keys\":{\"links\":[");
    for (i = 0; i < make->links; i++) {
        struct kl_trail_link link = {.number = (uint32_t)i + 1,
                                     .at = "2026-03-02T09:00:00.000000Z"};
        struct kl_buf text;

        (void)snprintf(link.tenant, sizeof link.tenant, "%s", make->is_tenant ? "" : "default");
        memcpy(link.old_key, keys[i], 32);
        memcpy(link.new_key, keys[i + 1], 32);
        kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
        kl_trail_link_text(&link, &text);
        (void)crypto_sign_detached(link.old_signature, NULL, text.bytes, text.size, secrets[i]);
        (void)crypto_sign_detached(link.new_signature, NULL, text.bytes, text.size, secrets[i + 1]);
        kl_buf_add_text(out, i == 0 ? "" : ",");
        kl_trail_link_write(&link, out);
        kl_buf_done(&text);
    }
    kl_buf_addf(out, "],\"first_key\":\"%s\",\"public_key\":\"%s\",\"tenant\":\"%s\"}}",
                b64(keys[0], 32), b64(keys[make->links], 32), make->is_tenant ? "" : "default");
}

static void trail_make(const struct make *make, int signer, const char *entry,
                       const unsigned char leaf[32], struct kl_buf *out)
{
    struct kl_json_out json = kl_json_out(out);

    kl_buf_add_text(out, "\"trail\":{\"entry\":");
    if (make->without_text) {
        kl_buf_add_text(out, "null");
    } else {
        kl_json_put_text(&json, entry);
    }
    kl_buf_add_text(out, ",");
    head_make(make, signer, leaf, out);
    keys_make(make, out);
}

static void around(const char *said, const char *signature, struct kl_buf *out)
{
    struct kl_json *json = NULL;
    struct kl_json_out text = kl_json_out(out);
    static const char *const members[] = {"receipt",  "erased_at",          "records_erased",
                                          "notify",   "finality",           "mirrors",
                                          "retained", "lookup_traces_until"};
    static const char *const inside[] = {"algorithm", "public_key", "commitment", "generation",
                                         "key_tree_root"};
    char id[KL_ID_TEXT_BYTES];
    size_t i;

    assert_int_equal(kl_json_parse(said, strlen(said), &json, NULL), KL_OK);
    kl_id_format("sub", &subject, id);
    kl_buf_addf(out, "{\"subject\":\"%s\",\"subject_secret\":\"%s\"", id, b64(secret, 32));
    for (i = 0; i < sizeof members / sizeof members[0]; i++) {
        kl_buf_addf(out, ",\"%s\":", members[i]);
        kl_json_write_value(out, kl_json_member(kl_json_root(json), members[i]));
    }
    kl_buf_addf(out, ",\"proof\":{\"signature\":\"%s\"", signature);
    for (i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        kl_buf_addf(out, ",\"%s\":", inside[i]);
        kl_json_write_value(out, kl_json_member(kl_json_root(json), inside[i]));
    }
    kl_buf_add_text(out, ",\"signed\":");
    kl_json_put_text(&text, said);
    kl_buf_add_text(out, ",");
    kl_json_free(json);
}

/* The whole as a file. */
static const char *made(const struct make *make)
{
    static char entry[TEXT_MAX];
    static char said[TEXT_MAX];
    static char whole[TEXT_MAX];
    char signature[KL_BASE64_CHARS(64) + 1];
    unsigned char leaf[32];
    struct kl_buf out;

    kl_buf_init(&out, TEXT_MAX - 1);
    entry_make(make, entry);
    kl_merkle_leaf(kl_slice_text(entry), leaf);
    said_make(make, make->links, leaf, said);
    add_signature(said, make->links, signature);
    if (make->is_answer) {
        around(said, signature, &out);
        trail_make(make, make->links, entry, leaf, &out);
        kl_buf_add_text(&out, "}}");
    } else {
        kl_buf_add(&out, said, strlen(said) - 1);
        kl_buf_addf(&out, ",\"signature\":\"%s\",", signature);
        trail_make(make, make->links, entry, leaf, &out);
        kl_buf_add_text(&out, "}");
    }
    assert_int_equal(kl_buf_status(&out, NULL), KL_OK);
    (void)snprintf(whole, sizeof whole, "%s", (const char *)out.bytes);
    kl_buf_done(&out);
    apply(whole, make->whole);
    return whole;
}

/* Look at it by that key; the codes of what failed, one after the other. */
static const char *failed(const char *file, int key, const struct kl_receipt_person *person)
{
    static char codes[256];
    struct kl_receipt_trust trust = {.person = person};
    struct kl_receipt *receipt = NULL;
    size_t i;

    memcpy(trust.key, keys[key], sizeof trust.key);
    assert_int_equal(kl_receipt_read(file, strlen(file), &receipt, NULL), KL_OK);
    assert_int_equal(kl_receipt_check(receipt, &trust, &checks, NULL), KL_OK);
    codes[0] = '\0';
    for (i = 0; i < checks.count; i++) {
        if (checks.items[i].state == KL_RECEIPT_FAILED) {
            (void)snprintf(codes + strlen(codes), sizeof codes - strlen(codes), "%s%s",
                           codes[0] == '\0' ? "" : " ", checks.items[i].code);
        }
    }
    assert_int_equal(kl_receipt_holds(&checks), codes[0] == '\0');
    kl_receipt_free(receipt);
    return codes;
}

static const char *failed_of(struct make make)
{
    return failed(made(&make), 0, NULL);
}

/* -1: it was not looked at. */
static int state_of(const char *code)
{
    size_t i;

    for (i = 0; i < checks.count; i++) {
        if (strcmp(checks.items[i].code, code) == 0) {
            return (int)checks.items[i].state;
        }
    }
    return -1;
}

static void test_a_receipt_that_is_right_holds_in_both_forms(void **state)
{
    (void)state;
    assert_string_equal(failed_of((struct make){.is_answer = false}), "");
    assert_int_equal(state_of("person"), KL_RECEIPT_OPEN);
    assert_int_equal(state_of("inclusion"), KL_RECEIPT_HOLDS);
    assert_int_equal(state_of("entry"), KL_RECEIPT_HOLDS);
    assert_int_equal(state_of("answer"), -1);
    assert_string_equal(failed_of((struct make){.is_answer = true}), "");
    assert_int_equal(state_of("person"), KL_RECEIPT_HOLDS);
    assert_int_equal(state_of("answer"), KL_RECEIPT_HOLDS);
    assert_string_equal(failed_of((struct make){.without_text = true}), "");
    assert_int_equal(state_of("entry"), KL_RECEIPT_HOLDS);
    assert_string_equal(failed_of((struct make){.is_tenant = true}), "");
    assert_int_equal(state_of("tenant_trail"), KL_RECEIPT_OPEN);
    assert_int_equal(state_of("person"), -1);
}

static void test_white_space_and_wrapping_do_not_matter(void **state)
{
    const struct make make = {.is_answer = true};
    static char text[TEXT_MAX + 64];

    (void)state;
    (void)snprintf(text, sizeof text, "{ \"id\" : \"req_1\",\n \"receipt\": %s }", made(&make));
    assert_string_equal(failed(text, 0, NULL), "");
    (void)snprintf(text, sizeof text, "{\"status\":200,\"result\": %s }", made(&make));
    assert_string_equal(failed(text, 0, NULL), "");
    assert_string_equal(
        failed_of((struct make){.whole = {"{\"receipt\":", "{\n  \"receipt\" :  "}}), "");
}

static void test_what_was_changed_after_signing_is_named(void **state)
{
    static const struct {
        struct change whole;
        bool is_answer;
        const char *failed;
    } cases[] = {
        {{"\"records_erased\":2", "\"records_erased\":3"}, false, "signature entry"},
        {{"\"records_erased\":2", "\"records_erased\":3"}, true, "answer"},
        {{"\"notify\":[\"printer\"]", "\"notify\":[]"}, true, "answer"},
        {{"\"basis\":\"tax\"", "\"basis\":\"law\""}, true, "answer"},
        {{"\"retained\":[{", "\"retained\":\"\",\"x\":[{"}, true, "answer"},
        {{"\"generation\":{\"from\":6", "\"generation\":{\"from\":5"}, true, "answer"},
        {{"\"signature\":\"", "\"signature\":\"A"}, false, "signature"},
        {{"\"leaf_index\":1", "\"leaf_index\":0"}, false, "inclusion"},
        {{"\"leaf_index\":1", "\"leaf_index\":-1"}, false, "inclusion"},
        {{"\"size\":2,\"leaf", "\"size\":3,\"leaf"}, false, "inclusion"},
        {{"\"hashes\":[", "\"hashes\":[\"\","}, false, "inclusion"},
        {{"\"hashes\":[", "\"hashes\":[],\"x\":["}, false, "inclusion"},
        {{"09:16:00", "09:17:00"}, false, "head"},
        {{"\\\"salt\\\"", "\\\"tlas\\\""}, false, "entry"},
        {{"\"trail\":{\"entry\":\"", "\"trail\":{\"entry\":7,\"x\":\""}, false, "entry"},
        {{"\"first_key\":\"", "\"first_key\":\"A"}, false, "chain"},
        {{"\"trail\":{\"entry\"",
          "\"trail\":{\"missing\":\"audit_tree_building\"},\"liart\":{\"entry\""},
         false,
         "signature inclusion"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(
            failed_of((struct make){.whole = cases[i].whole, .is_answer = cases[i].is_answer}),
            cases[i].failed);
    }
}

/* Signed by the vault itself, and yet not to be believed. */
static void test_a_statement_that_contradicts_itself_is_refused(void **state)
{
    static const struct change cases[] = {
        {"\"kind\":\"subject\"", "\"kind\":\"all\""},
        {"\"reason\":\"request\"", "\"reason\":\"because\""},
        {"\"erased_at\":\"2026", "\"erased_at\":\"x026"},
        {"\"finality\":\"F1\"", "\"finality\":\"F9\""},
        {"\"finality\":\"F1\",\"mirrors\":{\"confirmed\":1,\"pending\":[]",
         "\"finality\":\"F3\",\"mirrors\":{\"confirmed\":1,\"pending\":[\"mir_0000000000000000000000000A\"]"},
        {"\"pending\":[]", "\"pending\":[\"x\"]"},
        {"\"from\":6", "\"from\":5"},
        {"\"fields_erased\":5", "\"fields_erased\":-5"},
        {"\"until\":\"2030", "\"until\":\"2030 "},
        {"\"notify\":[\"printer\"]", "\"notify\":[1]"},
        {"\"key_tree_root\":{\"from\":\"", "\"key_tree_root\":{\"from\":\"x"},
        {"\"algorithm\":\"Ed25519\"", "\"algorithm\":\"none\""},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_non_null(strstr(failed_of((struct make){.said = cases[i]}), "statement"));
        assert_int_equal(state_of("signature"), KL_RECEIPT_HOLDS);
    }
}

/* Of a commit that an older version made. */
static void test_unknown_root_hashes_are_no_failure(void **state)
{
    char hashes[2][64];
    char of[160];
    unsigned char commitment[32];

    (void)state;
    kl_receipt_commit(secret, &subject, NULL, commitment);
    (void)snprintf(hashes[0], sizeof hashes[0], "%s", b64(commitment, 32));
    kl_receipt_commit(secret, &subject, &record, commitment);
    (void)snprintf(hashes[1], sizeof hashes[1], "%s", b64(commitment, 32));
    (void)snprintf(of, sizeof of, "{\"from\":\"%s\",\"to\":\"%s\"}", hashes[0], hashes[1]);
    assert_string_equal(failed_of((struct make){.said = {of, "{\"from\":null,\"to\":null}"}}), "");
    assert_string_equal(failed_of((struct make){.said = {of, "{\"from\":null}"}}), "statement");
}

static void test_an_entry_of_another_erasure_is_refused(void **state)
{
    static const struct change cases[] = {
        {RECEIPT, "er_0000000000000000000000000C"},
        {"\"action\":\"erase\"", "\"action\":\"erase_record\""},
        {"\"reason\":\"request\"", "\"reason\":\"other\""},
        {"\"credential\":\"cred_1\"", "\"credential\":\"cred_2\""},
        {"\"generation\":7", "\"generation\":8"},
        {"\"records\":2", "\"records\":1"},
        {"\"fields\":5", "\"fields\":6"},
        {"\"result\":\"ok\"", "\"result\":\"refused\""},
        {"2026-03-02", "2026-02-02"},
        {"\"at\":", "\"ta\":"},
        {"\"slot\":70", "\"request\":\"req_0000000000000000000000000A\""},
        {ENTRY, "aud_0000000000000000000000000C"},
        {"{\"id\"", "{{\"id\""},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(failed_of((struct make){.entry = cases[i]}), "entry");
    }
    assert_string_equal(failed_of((struct make){.is_tenant = true,
                                                .entry = {"\"audit_size\":5", "\"audit_size\":6"}}),
                        "entry");
    /* Another leaf than the receipt names, text or no text. */
    assert_string_equal(failed_of((struct make){.said = {"\"leaf_hash\":\"", "\"leaf_hash\":\"A"}}),
                        "entry");
    assert_string_equal(failed_of((struct make){.said = {"\"entry\":{\"id\"", "\"yrtne\":{\"id\""},
                                                .without_text = true}),
                        "entry");
}

static void test_who_trusts_any_key_of_the_chain_takes_it(void **state)
{
    const struct make two = {.links = 2};
    const struct make none = {.links = 0};
    const struct make broken = {.links = 2, .whole = {"\"number\":2", "\"number\":3"}};
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_string_equal(failed(made(&two), i, NULL), "");
        assert_int_equal(state_of("chain"), KL_RECEIPT_HOLDS);
    }
    assert_string_equal(failed(made(&none), 1, NULL), "key head");
    assert_string_equal(failed(made(&broken), 0, NULL), "chain key head");
}

static void test_more_links_come_from_elsewhere(void **state)
{
    const struct make two = {.links = 2};
    const struct make none = {.links = 0};
    struct kl_receipt_trust trust = {.person = NULL};
    struct kl_receipt *receipt = NULL;
    struct kl_json *json = NULL;
    const char *text = made(&two);

    (void)state;
    assert_int_equal(kl_json_parse(text, strlen(text), &json, NULL), KL_OK);
    text = made(&none);
    assert_int_equal(kl_receipt_read(text, strlen(text), &receipt, NULL), KL_OK);
    memcpy(trust.key, keys[2], sizeof trust.key);
    trust.keys = kl_json_member(kl_json_member(kl_json_root(json), "trail"), "keys");
    assert_int_equal(kl_receipt_check(receipt, &trust, &checks, NULL), KL_OK);
    assert_true(kl_receipt_holds(&checks));
    kl_receipt_free(receipt);
    kl_json_free(json);
}

static void test_a_head_of_another_trail_is_refused(void **state)
{
    (void)state;
    assert_string_equal(
        failed_of((struct make){.said = {"\"tenant\":\"default\"", "\"tenant\":\"other\""}}),
        "head");
    assert_string_equal(
        failed_of((struct make){.said = {"\"tenant\":\"default\"", "\"tenant\":null"}}), "head");
}

static void test_whom_it_is_about_takes_the_id_and_the_secret(void **state)
{
    const struct make make = {.is_answer = false};
    const struct make record_of = {.said = {"\"kind\":\"subject\"", "\"kind\":\"record\""},
                                   .entry = {"\"erase\"", "\"erase_record\""}};
    const struct make answer = {.is_answer = true,
                                .whole = {"\"subject_secret\":\"C", "\"subject_secret\":\"D"}};
    struct kl_receipt_person person = {.subject = subject};

    (void)state;
    memcpy(person.secret, secret, sizeof person.secret);
    assert_string_equal(failed(made(&make), 0, &person), "");
    assert_int_equal(state_of("person"), KL_RECEIPT_HOLDS);
    assert_string_equal(failed(made(&record_of), 0, &person), "person");
    person.has_record = true;
    person.record = record;
    assert_string_equal(failed(made(&make), 0, &person), "person");
    person.has_record = false;
    person.secret[31] ^= 1;
    assert_string_equal(failed(made(&make), 0, &person), "person");
    person.secret[31] ^= 1;
    person.subject = record;
    assert_string_equal(failed(made(&make), 0, &person), "person");
    assert_string_equal(failed(made(&answer), 0, NULL), "person");
    assert_string_equal(failed(made(&(struct make){.is_tenant = true}), 0, &person), "person");
}

static void test_what_is_no_receipt_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "7",
                                        "{\"receipt\":\"er_1\",\"signature\":\"x\"}",
                                        "{\"receipt\":\"" RECEIPT "\"}",
                                        "{\"receipt\":{\"receipt\":{}}}",
                                        "{\"proof\":{}}",
                                        "{\"proof\":{\"signed\":\"{\"}}",
                                        "{\"proof\":{\"signed\":\"{}\",\"signature\":\"x\"}}"};
    struct kl_receipt *receipt = NULL;
    struct kl_err err = {0};
    char *large = malloc(KL_RECEIPT_FILE_MAX_BYTES + 1);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        kl_err_clear(&err);
        assert_int_equal(kl_receipt_read(texts[i], strlen(texts[i]), &receipt, &err),
                         KL_ERR_INVALID);
        assert_null(receipt);
    }
    assert_string_equal(err.code, "invalid_receipt");
    assert_non_null(large);
    memset(large, ' ', KL_RECEIPT_FILE_MAX_BYTES + 1);
    kl_err_clear(&err);
    assert_int_equal(kl_receipt_read(large, KL_RECEIPT_FILE_MAX_BYTES + 1, &receipt, &err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "receipt_too_large");
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_receipt_that_is_right_holds_in_both_forms),
        cmocka_unit_test(test_white_space_and_wrapping_do_not_matter),
        cmocka_unit_test(test_what_was_changed_after_signing_is_named),
        cmocka_unit_test(test_a_statement_that_contradicts_itself_is_refused),
        cmocka_unit_test(test_unknown_root_hashes_are_no_failure),
        cmocka_unit_test(test_an_entry_of_another_erasure_is_refused),
        cmocka_unit_test(test_who_trusts_any_key_of_the_chain_takes_it),
        cmocka_unit_test(test_more_links_come_from_elsewhere),
        cmocka_unit_test(test_a_head_of_another_trail_is_refused),
        cmocka_unit_test(test_whom_it_is_about_takes_the_id_and_the_secret),
        cmocka_unit_test(test_what_is_no_receipt_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
