/* What a trail says of entries that went by a policy: what is believed, and what is named. */
#include "kluis/base/trail_pruned.h"

#include "kluis/base/encode.h"
#include "tests/support/test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST "2020-01-01T00:00:00.000000Z"
#define NEWEST "2020-02-29T00:00:00.000000Z"
#define AT "2022-02-28T00:00:00.000000Z"

static unsigned char public_key[KL_TRAIL_KEY_BYTES];
static unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
static bool is_known = true;

static int setup(void **state)
{
    (void)state;
    return sodium_init() < 0 || crypto_sign_keypair(public_key, secret_key) != 0;
}

static struct kl_trail_pruning right(void)
{
    struct kl_trail_pruning pruning = {
        .tenant = "default", .from = 2, .until = 9, .root = {7}, .policy = 3};

    (void)snprintf(pruning.keep_text, sizeof pruning.keep_text, "P2Y");
    (void)snprintf(pruning.oldest, sizeof pruning.oldest, OLDEST);
    (void)snprintf(pruning.newest, sizeof pruning.newest, NEWEST);
    (void)snprintf(pruning.at, sizeof pruning.at, AT);
    return pruning;
}

/* The entry's text, signed. */
static struct kl_buf entry_of(struct kl_trail_pruning pruning)
{
    struct kl_buf signed_text;
    struct kl_buf text;
    struct kl_json_out out = kl_json_out(&text);

    kl_buf_init(&signed_text, KL_TRAIL_PRUNED_TEXT_MAX_BYTES);
    kl_trail_pruning_text(&pruning, &signed_text);
    assert_int_equal(crypto_sign_detached(pruning.signature, NULL, signed_text.bytes,
                                          signed_text.size, secret_key),
                     0);
    kl_buf_done(&signed_text);
    memcpy(pruning.key, public_key, sizeof pruning.key);
    kl_buf_init(&text, 4096);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "at", pruning.at);
    kl_json_add_text(&out, "action", KL_TRAIL_PRUNED_ACTION);
    kl_trail_pruning_write(&pruning, &out);
    kl_json_object_end(&out);
    assert_int_equal(kl_buf_status(&text, NULL), KL_OK);
    return text;
}

static bool is_key(void *context, const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    (void)context;
    return is_known && memcmp(key, public_key, KL_TRAIL_KEY_BYTES) == 0;
}

/* A trail of these entries, the last of them number 20: the one code that is found; NULL: none. */
struct judged {
    struct kl_trail_findings findings;
    struct kl_trail_prunings prunings;
};
static struct judged *judge(const char *const *policies, struct kl_slice entry)
{
    struct judged *judged = calloc(1, sizeof *judged);

    assert_non_null(judged);
    kl_trail_prunings_begin(&judged->prunings, "default", is_key, NULL, &judged->findings);
    for (; *policies != NULL; policies++) {
        kl_trail_prunings_see(&judged->prunings, 10, kl_slice_text(*policies));
    }
    kl_trail_prunings_see(&judged->prunings, 20, entry);
    return judged;
}

static const char *const no_policies[] = {NULL};

static void assert_judged(const char *const *policies, struct kl_trail_pruning pruning,
                          const char *code)
{
    struct kl_buf entry = entry_of(pruning);
    struct judged *judged = judge(policies, kl_buf_slice(&entry));

    assert_int_equal(judged->findings.count, code == NULL ? 0 : 1);
    if (code != NULL) {
        assert_string_equal(judged->findings.items[0].code, code);
        assert_int_equal(judged->findings.items[0].from, 20);
    }
    free(judged);
    kl_buf_done(&entry);
}

static void test_what_the_vault_signed_is_believed(void **state)
{
    struct kl_buf entry = entry_of(right());
    struct judged *judged = judge(no_policies, kl_buf_slice(&entry));

    (void)state;
    assert_int_equal(judged->findings.count, 0);
    assert_int_equal(judged->prunings.declared, 9);
    assert_int_equal(judged->prunings.root_count, 1);
    assert_int_equal(judged->prunings.roots[0].until, 9);
    assert_int_equal(judged->prunings.roots[0].number, 20);
    assert_int_equal(judged->prunings.roots[0].root[0], 7);
    kl_trail_prunings_end(&judged->prunings, 9);
    assert_int_equal(judged->findings.count, 0);
    kl_trail_prunings_end(&judged->prunings, 10);
    assert_int_equal(judged->findings.count, 1);
    assert_string_equal(judged->findings.items[0].code, "pruned_undeclared");
    assert_int_equal(judged->findings.items[0].from, 9);
    assert_int_equal(judged->findings.items[0].until, 10);
    free(judged);
    kl_buf_done(&entry);
}

static void test_any_flipped_bit_is_named_and_declares_nothing(void **state)
{
    struct kl_buf entry = entry_of(right());

    (void)state;
    for (size_t i = 0; i < entry.size; i++) {
        struct judged *judged = NULL;

        entry.bytes[i] ^= 1;
        judged = judge(no_policies, kl_buf_slice(&entry));
        /* What is no entry of this kind any more says nothing; what says it is, and is not as it was signed, is named. */
        assert_int_equal(judged->prunings.declared, 0);
        assert_true(judged->findings.count > 0 || !kl_trail_pruning_is(kl_buf_slice(&entry)));
        free(judged);
        entry.bytes[i] ^= 1;
    }
    kl_buf_done(&entry);
}

static void test_a_key_of_nobody_and_what_cannot_be_are_named(void **state)
{
    struct kl_trail_pruning pruning = right();

    (void)state;
    is_known = false;
    assert_judged(no_policies, pruning, "pruning_forged");
    is_known = true;
    pruning.until = 21;
    assert_judged(no_policies, pruning, "pruning_forged");
    pruning.until = 20;
    assert_judged(no_policies, pruning, NULL);
    pruning.until = pruning.from;
    assert_judged(no_policies, pruning, "pruning_forged");
    pruning = right();
    (void)snprintf(pruning.oldest, sizeof pruning.oldest, AT);
    assert_judged(no_policies, pruning, "pruning_forged");
}

static void test_what_went_early_is_named(void **state)
{
    struct kl_trail_pruning pruning = right();

    (void)state;
    (void)snprintf(pruning.at, sizeof pruning.at, "2022-02-27T23:59:59.999999Z");
    assert_judged(no_policies, pruning, "pruned_early");
    (void)snprintf(pruning.keep_text, sizeof pruning.keep_text, "P364D");
    assert_judged(no_policies, pruning, "pruned_early");
    (void)snprintf(pruning.keep_text, sizeof pruning.keep_text, "P1Y");
    assert_judged(no_policies, pruning, NULL);
}

#define POLICY(at, keep)                                                               \
    "{\"at\":\"" at "\",\"action\":\"policy_apply\",\"number\":1,\"audit_keep\":" keep \
    ",\"result\":\"ok\"}"

static void test_a_policy_that_counted_keeps_what_it_says(void **state)
{
    static const char *const longer[] = {POLICY("2021-01-01T00:00:00.000000Z", "\"P6Y\""), NULL};
    static const char *const forever[] = {POLICY("2021-01-01T00:00:00.000000Z", "null"), NULL};
    static const char *const just_over[] = {POLICY("2021-01-01T00:00:00.000000Z", "\"P6Y\""),
                                            POLICY("2022-01-30T00:00:00.000000Z", "\"P2Y\""), NULL};
    static const char *const restored[] = {POLICY("2021-01-01T00:00:00.000000Z", "\"P6Y\""),
                                           "{\"action\":\"data_restored\"}", NULL};
    static const char *const over[] = {POLICY("2021-01-01T00:00:00.000000Z", "\"P6Y\""),
                                       POLICY("2022-01-29T00:00:00.000000Z", "\"P2Y\""), NULL};

    (void)state;
    assert_judged(longer, right(), "pruned_early");
    assert_judged(forever, right(), "pruned_early");
    assert_judged(just_over, right(), "pruned_early");
    assert_judged(over, right(), NULL);
    assert_judged(restored, right(), NULL);
}

static void test_an_entry_of_another_action_is_passed_over(void **state)
{
    struct kl_trail_pruning pruning = {.from = 77};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(
        kl_trail_pruning_read(kl_slice_text("{\"action\":\"read\"}"), "default", &pruning, &err),
        KL_ERR_NOT_FOUND);
    assert_int_equal(err.status, KL_OK);
    assert_int_equal(kl_trail_pruning_read(
                         kl_slice_text("{\"note\":{\"action\":\"trail_pruned\"},\"action\":\"x\"}"),
                         "default", &pruning, &err),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(kl_trail_pruning_read(kl_slice_text("{\"action\":\"trail_pruned\"}"),
                                           "default", &pruning, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_pruning");
    assert_int_equal(pruning.from, 77);
}

static void test_lines_of_a_copy_are_read_strictly(void **state)
{
    static const char *const bad[] = {"{\"seq\":,\"entry\":{}}",
                                      "{\"seq\":1,\"entry\":}",
                                      "{\"seq\":-1,\"entry\":{}}",
                                      "{\"seq\": 1,\"entry\":{}}",
                                      "{\"seq\":1,\"entri\":{}}",
                                      "{\"seq\":1,\"entry\":{}",
                                      "{\"seq\":1}",
                                      "{\"seq\":1,\"leaf_hash\":\"short\"}",
                                      "{\"seq\":",
                                      "{\"seq\":99999999999999999999,\"entry\":{}}"};
    unsigned char hash[KL_MERKLE_HASH_BYTES];
    struct kl_slice entry;
    uint64_t number = 0;

    (void)state;
    assert_true(kl_trail_line_read(kl_slice_text("{\"seq\":17,\"entry\":{\"a\":1}}"), &number,
                                   &entry, hash));
    assert_int_equal(number, 17);
    assert_true(kl_slice_equal_text(entry, "{\"a\":1}"));
    assert_true(kl_trail_line_read(
        kl_slice_text("{\"seq\":0,\"leaf_hash\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
        &number, &entry, hash));
    assert_int_equal(entry.size, 0);
    assert_int_equal(hash[0], 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(kl_trail_line_read(kl_slice_text(bad[i]), &number, &entry, hash));
    }
}

static void test_a_year_is_the_least(void **state)
{
    static const struct {
        struct kl_duration keep;
        bool enough;
    } cases[] = {{{.months = 12}, true},
                 {{.months = 11, .days = 300}, false},
                 {{.days = 366}, true},
                 {{.days = 365}, false},
                 {{.seconds = 99999999}, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(kl_trail_keep_is_enough(&cases[i].keep), cases[i].enough);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_vault_signed_is_believed),
        cmocka_unit_test(test_any_flipped_bit_is_named_and_declares_nothing),
        cmocka_unit_test(test_a_key_of_nobody_and_what_cannot_be_are_named),
        cmocka_unit_test(test_what_went_early_is_named),
        cmocka_unit_test(test_a_policy_that_counted_keeps_what_it_says),
        cmocka_unit_test(test_an_entry_of_another_action_is_passed_over),
        cmocka_unit_test(test_lines_of_a_copy_are_read_strictly),
        cmocka_unit_test(test_a_year_is_the_least),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
