/* Hashes of secrets: verified, with whatever parameters, and a bounded number at once. */
#include "vault/secret_hash.h"

#include "kluis/base/encode.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct vault_secrets *light;
static struct vault_secrets *strong;

static int setup(void **state)
{
    (void)state;
    light = vault_secrets_new(true);
    strong = vault_secrets_new(false);
    return light == NULL || strong == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    vault_secrets_free(light);
    vault_secrets_free(strong);
    return 0;
}

static bool matches(struct vault_secrets *secrets, const unsigned char *hash, const char *secret)
{
    bool match = false;
    struct kl_err err = {0};

    assert_int_equal(vault_secret_verify(secrets, kl_slice_of(hash, VAULT_SECRET_HASH_BYTES),
                                         kl_slice_text(secret), &match, &err),
                     KL_OK);
    return match;
}

static void test_the_secret_matches_and_nothing_else(void **state)
{
    unsigned char hash[VAULT_SECRET_HASH_BYTES];

    (void)state;
    assert_int_equal(vault_secret_hash(light, kl_slice_text("open sesame"), hash, NULL), KL_OK);
    assert_true(matches(light, hash, "open sesame"));
    assert_false(matches(light, hash, "open sesame "));
    assert_false(matches(light, hash, "Open sesame"));
    assert_false(matches(light, hash, ""));
    assert_null(memmem(hash, sizeof hash, "sesame", 6));
}

static void test_the_same_secret_has_another_hash_each_time(void **state)
{
    unsigned char one[VAULT_SECRET_HASH_BYTES];
    unsigned char two[VAULT_SECRET_HASH_BYTES];

    (void)state;
    assert_int_equal(vault_secret_hash(light, kl_slice_text("open sesame"), one, NULL), KL_OK);
    assert_int_equal(vault_secret_hash(light, kl_slice_text("open sesame"), two, NULL), KL_OK);
    assert_memory_not_equal(one + 9, two + 9, 16);
    assert_memory_not_equal(one + 25, two + 25, 32);
}

static void test_the_parameters_are_those_of_the_rfc(void **state)
{
    unsigned char hash[VAULT_SECRET_HASH_BYTES];

    (void)state;
    assert_int_equal(vault_secret_hash(strong, kl_slice_text("open sesame"), hash, NULL), KL_OK);
    assert_int_equal(hash[0], 1);
    assert_int_equal(kl_get_u32be(hash + 1), 3);
    assert_int_equal(kl_get_u32be(hash + 5), 64 * 1024);
}

/* One lane of Argon2id, version 0x13, as the reference implementation prints it. */
static void test_a_known_answer_comes_out_right(void **state)
{
    static const char salt[] = "somesaltsomesalt";
    unsigned char hash[VAULT_SECRET_HASH_BYTES] = {1};
    char text[crypto_pwhash_argon2id_STRBYTES] = "$argon2id$v=19$m=64,t=2,p=1$";
    char encoded[64];

    (void)state;
    kl_put_u32be(hash + 1, 2);
    kl_put_u32be(hash + 5, 64);
    memcpy(hash + 9, salt, 16);
    assert_int_equal(crypto_pwhash_argon2id(hash + 25, 32, "password", 8, (const void *)salt, 2,
                                            64 * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13),
                     0);
    assert_true(matches(light, hash, "password"));
    /* the same through the other form of the library, which the reference implementation reads */
    (void)sodium_bin2base64(encoded, sizeof encoded, (const void *)salt, 16,
                            sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    strcat(text, encoded);
    strcat(text, "$");
    (void)sodium_bin2base64(encoded, sizeof encoded, hash + 25, 32,
                            sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    strcat(text, encoded);
    assert_int_equal(crypto_pwhash_argon2id_str_verify(text, "password", 8), 0);
}

static void test_a_hash_of_other_parameters_is_verified_all_the_same(void **state)
{
    unsigned char hash[VAULT_SECRET_HASH_BYTES];

    (void)state;
    assert_int_equal(vault_secret_hash(light, kl_slice_text("open sesame"), hash, NULL), KL_OK);
    assert_true(matches(strong, hash, "open sesame"));
    assert_false(matches(strong, hash, "open says me"));
}

static void test_a_stretched_text_is_the_same_for_one_salt(void **state)
{
    unsigned char salt[VAULT_SECRET_SALT_BYTES] = {0};
    unsigned char one[VAULT_SECRET_TAG_BYTES];
    unsigned char two[VAULT_SECRET_TAG_BYTES];

    (void)state;
    assert_int_equal(vault_secret_stretch(light, kl_slice_text("text"), salt, one, NULL), KL_OK);
    assert_int_equal(vault_secret_stretch(light, kl_slice_text("text"), salt, two, NULL), KL_OK);
    assert_memory_equal(one, two, sizeof one);
    assert_int_equal(vault_secret_stretch(light, kl_slice_text("texu"), salt, two, NULL), KL_OK);
    assert_memory_not_equal(one, two, sizeof one);
    salt[0] = 1;
    assert_int_equal(vault_secret_stretch(light, kl_slice_text("text"), salt, two, NULL), KL_OK);
    assert_memory_not_equal(one, two, sizeof one);
}

static void test_no_hash_matches_nothing(void **state)
{
    bool match = true;

    (void)state;
    assert_int_equal(
        vault_secret_verify(light, kl_slice_of("", 0), kl_slice_text("open sesame"), &match, NULL),
        KL_OK);
    assert_false(match);
}

static void damaged(const unsigned char *hash, size_t size)
{
    bool match = true;
    struct kl_err err = {0};

    assert_int_equal(vault_secret_verify(light, kl_slice_of(hash, size),
                                         kl_slice_text("open sesame"), &match, &err),
                     KL_ERR_CORRUPT);
    assert_string_equal(err.code, "secret_damaged");
    assert_true(match);
}

static void test_a_damaged_hash_is_said_or_does_not_match(void **state)
{
    unsigned char hash[VAULT_SECRET_HASH_BYTES + 1] = {0};
    unsigned char other[VAULT_SECRET_HASH_BYTES];

    (void)state;
    assert_int_equal(vault_secret_hash(light, kl_slice_text("open sesame"), hash, NULL), KL_OK);
    damaged(hash, VAULT_SECRET_HASH_BYTES + 1);
    for (size_t size = 1; size < VAULT_SECRET_HASH_BYTES; size++) {
        damaged(hash, size);
    }
    for (size_t i = 9; i < VAULT_SECRET_HASH_BYTES; i++) { /* salt and hash */
        memcpy(other, hash, sizeof other);
        other[i] ^= 1;
        assert_false(matches(light, other, "open sesame"));
    }
    memcpy(other, hash, sizeof other);
    other[0] = 2;
    damaged(other, sizeof other);
    other[0] = 1;
    kl_put_u32be(other + 1, VAULT_SECRET_PASSES_MAX + 1);
    damaged(other, sizeof other);
    kl_put_u32be(other + 1, 0);
    damaged(other, sizeof other);
    kl_put_u32be(other + 1, 1);
    kl_put_u32be(other + 5, VAULT_SECRET_MEMORY_MAX_KIB + 1);
    damaged(other, sizeof other);
    kl_put_u32be(other + 5, 7);
    damaged(other, sizeof other);
}

/* ---- how many at once ---- */

enum { CROWD = VAULT_SECRETS_AT_ONCE + VAULT_SECRETS_WAITING_MAX + 4 };
static pthread_barrier_t gate;
static atomic_int done_ok;
static atomic_int done_busy;

static void *one_of_many(void *unused)
{
    unsigned char hash[VAULT_SECRET_HASH_BYTES];
    struct kl_err err = {0};
    enum kl_status status;

    (void)unused;
    (void)pthread_barrier_wait(&gate);
    status = vault_secrets_enter(strong, &err);
    if (status == KL_OK) {
        status = vault_secret_hash(strong, kl_slice_text("open sesame"), hash, &err);
        vault_secrets_leave(strong);
    }
    if (status == KL_OK) {
        atomic_fetch_add(&done_ok, 1);
    } else if (status == KL_ERR_BUSY && strcmp(err.code, "secrets_busy") == 0 &&
               err.retry_after_s > 0) {
        atomic_fetch_add(&done_busy, 1);
    }
    return NULL;
}

static void test_who_comes_when_too_many_are_there_is_told_to_come_again(void **state)
{
    pthread_t threads[CROWD];

    (void)state;
    assert_int_equal(pthread_barrier_init(&gate, NULL, CROWD), 0);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, NULL), 0);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    (void)pthread_barrier_destroy(&gate);
    assert_int_equal(atomic_load(&done_ok) + atomic_load(&done_busy), CROWD);
    assert_true(atomic_load(&done_ok) >= VAULT_SECRETS_AT_ONCE);
    assert_true(atomic_load(&done_busy) >= 1);
    for (int i = 0; i < VAULT_SECRETS_AT_ONCE; i++) {
        assert_int_equal(vault_secrets_enter(strong, NULL), KL_OK);
    }
    assert_int_equal(vault_secrets_enter(strong, NULL), KL_ERR_BUSY);
    for (int i = 0; i < VAULT_SECRETS_AT_ONCE; i++) {
        vault_secrets_leave(strong);
    }
}

static void test_without_memory_there_is_none(void **state)
{
    (void)state;
    no_memory_begin(0);
    struct vault_secrets *secrets = vault_secrets_new(true);
    assert_true(no_memory_end());
    assert_null(secrets);
    vault_secrets_free(NULL);
}

/* Memory for the work itself is the library's: what it does without is tried in a process that may not have any. */
static void test_memory_that_runs_out_is_no_mismatch(void **state)
{
    const struct rlimit small = {(rlim_t)32 * 1024 * 1024, (rlim_t)32 * 1024 * 1024};
    unsigned char hash[VAULT_SECRET_HASH_BYTES];
    bool match = true;
    int result = 0;
    pid_t child;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    skip();
#endif
#endif
    assert_int_equal(vault_secret_hash(strong, kl_slice_text("open sesame"), hash, NULL), KL_OK);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setrlimit(RLIMIT_AS, &small);
        _exit(vault_secret_verify(strong, kl_slice_of(hash, sizeof hash),
                                  kl_slice_text("open sesame"), &match, NULL) == KL_ERR_NO_MEMORY &&
                      match
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_secret_matches_and_nothing_else),
        cmocka_unit_test(test_the_same_secret_has_another_hash_each_time),
        cmocka_unit_test(test_the_parameters_are_those_of_the_rfc),
        cmocka_unit_test(test_a_known_answer_comes_out_right),
        cmocka_unit_test(test_a_hash_of_other_parameters_is_verified_all_the_same),
        cmocka_unit_test(test_a_stretched_text_is_the_same_for_one_salt),
        cmocka_unit_test(test_no_hash_matches_nothing),
        cmocka_unit_test(test_a_damaged_hash_is_said_or_does_not_match),
        cmocka_unit_test(test_who_comes_when_too_many_are_there_is_told_to_come_again),
        cmocka_unit_test(test_without_memory_there_is_none),
        cmocka_unit_test(test_memory_that_runs_out_is_no_mismatch),
    };

    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
