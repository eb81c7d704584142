#include "api/tls_internal.h"
#include "kluis/base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#define NOW_US ((int64_t)1800000000 * 1000000)
#define LIFETIME_US ((int64_t)API_TLS_TICKET_LIFETIME_S * 1000000)
#define TICKET_BYTES 512

static const unsigned char PAYLOAD[] = "a session as Mbed TLS writes it";

static struct api_tls_identity identity_of(int64_t not_after_us)
{
    struct api_tls_identity identity = {.has_certificate = true, .not_after_us = not_after_us};

    memset(identity.sha256, 0xa5, sizeof identity.sha256);
    return identity;
}

static size_t seal(struct api_tls_tickets *tickets, const struct api_tls_identity *identity,
                   unsigned char *ticket)
{
    size_t size = api_tls_ticket_seal(tickets, identity, PAYLOAD, sizeof PAYLOAD, ticket,
                                      TICKET_BYTES, NOW_US);

    assert_true(size > sizeof PAYLOAD);
    return size;
}

/* Open a copy; the results must be untouched when that fails. */
static bool open_copy(struct api_tls_tickets *tickets, const unsigned char *ticket, size_t size,
                      int64_t now_us)
{
    struct api_tls_identity identity = {.not_after_us = 77};
    unsigned char *copy = malloc(size > 0 ? size : 1);
    unsigned char *payload = NULL;
    size_t payload_size = 77;

    assert_non_null(copy);
    memcpy(copy, ticket, size);
    bool ok = api_tls_ticket_open(tickets, copy, size, now_us, &identity, &payload, &payload_size);
    if (ok) {
        assert_int_equal(payload_size, sizeof PAYLOAD);
        assert_memory_equal(payload, PAYLOAD, sizeof PAYLOAD);
    } else {
        assert_int_equal(identity.not_after_us, 77);
        assert_null(payload);
        assert_int_equal(payload_size, 77);
    }
    free(copy);
    return ok;
}

static void test_ticket_gives_back_session_and_identity(void **state)
{
    struct api_tls_tickets *tickets = api_tls_tickets_new();
    struct api_tls_identity identity = identity_of(NOW_US + 1000000);
    struct api_tls_identity found;
    unsigned char ticket[TICKET_BYTES];
    unsigned char *payload;
    size_t payload_size;

    (void)state;
    size_t size = seal(tickets, &identity, ticket);
    assert_true(api_tls_ticket_open(tickets, ticket, size, NOW_US + 999999, &found, &payload,
                                    &payload_size));
    assert_true(found.has_certificate);
    assert_memory_equal(found.sha256, identity.sha256, sizeof found.sha256);
    assert_int_equal(found.not_after_us, identity.not_after_us);
    assert_memory_equal(payload, PAYLOAD, payload_size);
    api_tls_tickets_free(tickets);
}

static void test_ticket_refuses_any_flipped_byte_and_any_cut(void **state)
{
    struct api_tls_tickets *tickets = api_tls_tickets_new();
    struct api_tls_identity identity = identity_of(NOW_US + 1000000);
    unsigned char ticket[TICKET_BYTES];

    (void)state;
    size_t size = seal(tickets, &identity, ticket);
    assert_true(open_copy(tickets, ticket, size, NOW_US));
    for (size_t i = 0; i < size; i++) {
        ticket[i] ^= 1;
        assert_false(open_copy(tickets, ticket, size, NOW_US));
        ticket[i] ^= 1;
        assert_false(open_copy(tickets, ticket, i, NOW_US));
    }
    api_tls_tickets_free(tickets);
}

static void test_ticket_refuses_other_keys(void **state)
{
    struct api_tls_tickets *tickets = api_tls_tickets_new();
    struct api_tls_tickets *others = api_tls_tickets_new();
    struct api_tls_identity identity = identity_of(NOW_US + 1000000);
    unsigned char ticket[TICKET_BYTES];
    unsigned char other[TICKET_BYTES];

    (void)state;
    size_t size = seal(tickets, &identity, ticket);
    (void)seal(others, &identity, other);
    assert_false(open_copy(others, ticket, size, NOW_US));
    memcpy(ticket, other, API_TLS_TICKET_NAME_BYTES); /* nor under the others' name */
    assert_false(open_copy(others, ticket, size, NOW_US));
    api_tls_tickets_free(tickets);
    api_tls_tickets_free(others);
}

static void test_ticket_ends_with_its_lifetime_and_with_the_certificate(void **state)
{
    struct api_tls_tickets *tickets = api_tls_tickets_new();
    struct api_tls_identity brief = identity_of(NOW_US + 1000000);
    struct api_tls_identity lasting = identity_of(NOW_US + 10 * LIFETIME_US);
    struct api_tls_identity nobody = {0};
    unsigned char ticket[TICKET_BYTES];

    (void)state;
    size_t size = seal(tickets, &brief, ticket);
    assert_false(open_copy(tickets, ticket, size, NOW_US + 1000000));
    assert_false(open_copy(tickets, ticket, size, NOW_US - 1));
    size = seal(tickets, &lasting, ticket);
    assert_true(open_copy(tickets, ticket, size, NOW_US + LIFETIME_US));
    assert_false(open_copy(tickets, ticket, size, NOW_US + LIFETIME_US + 1));
    size = seal(tickets, &nobody, ticket);
    assert_true(open_copy(tickets, ticket, size, NOW_US + LIFETIME_US));
    api_tls_tickets_free(tickets);
}

static void test_ticket_keys_change_and_the_last_but_one_still_opens(void **state)
{
    struct api_tls_tickets *tickets = api_tls_tickets_new();
    struct api_tls_identity nobody = {0};
    unsigned char first[TICKET_BYTES];
    unsigned char later[TICKET_BYTES];

    (void)state;
    size_t size = seal(tickets, &nobody, first);
    int64_t then_us = NOW_US + LIFETIME_US + 1;
    assert_int_equal(api_tls_ticket_seal(tickets, &nobody, PAYLOAD, sizeof PAYLOAD, later,
                                         TICKET_BYTES, then_us),
                     size);
    assert_memory_not_equal(first, later, API_TLS_TICKET_NAME_BYTES);
    assert_true(open_copy(tickets, later, size, then_us));
    assert_true(
        open_copy(tickets, first, size, NOW_US + LIFETIME_US)); /* a clock that was set back */
    then_us += LIFETIME_US + 1;
    (void)api_tls_ticket_seal(tickets, &nobody, PAYLOAD, sizeof PAYLOAD, later, TICKET_BYTES,
                              then_us);
    assert_false(open_copy(tickets, first, size, NOW_US));
    api_tls_tickets_free(tickets);
}

static void test_ticket_that_does_not_fit_is_not_written(void **state)
{
    struct api_tls_tickets *tickets = api_tls_tickets_new();
    struct api_tls_identity nobody = {0};
    unsigned char ticket[TICKET_BYTES];

    (void)state;
    size_t size = seal(tickets, &nobody, ticket);
    assert_int_equal(
        api_tls_ticket_seal(tickets, &nobody, PAYLOAD, sizeof PAYLOAD, ticket, size - 1, NOW_US),
        0);
    assert_int_equal(
        api_tls_ticket_seal(tickets, &nobody, PAYLOAD, sizeof PAYLOAD, ticket, 0, NOW_US), 0);
    assert_int_equal(
        api_tls_ticket_seal(tickets, &nobody, PAYLOAD, sizeof PAYLOAD, ticket, size, NOW_US), size);
    api_tls_tickets_free(tickets);
}

static int setup(void **state)
{
    struct kl_err err = {0};

    (void)state;
    return kl_secret_process_init(true, &err) == KL_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticket_gives_back_session_and_identity),
        cmocka_unit_test(test_ticket_refuses_any_flipped_byte_and_any_cut),
        cmocka_unit_test(test_ticket_refuses_other_keys),
        cmocka_unit_test(test_ticket_ends_with_its_lifetime_and_with_the_certificate),
        cmocka_unit_test(test_ticket_keys_change_and_the_last_but_one_still_opens),
        cmocka_unit_test(test_ticket_that_does_not_fit_is_not_written),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
