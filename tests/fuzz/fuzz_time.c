/* Moments, dates and durations: what is read is in range, and is read from its own text as the same. */
#include "kluis/base/time.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED INT64_C(42)

static void check_moment(const char *text, size_t size)
{
    char again[KL_TIME_TEXT_BYTES];
    int64_t time_us = UNTOUCHED;
    int64_t parsed = UNTOUCHED;
    enum kl_status status = kl_time_parse(text, size, &time_us, NULL);

    if (status != KL_OK) {
        assert(status == KL_ERR_INVALID && time_us == UNTOUCHED);
        return;
    }
    assert(time_us >= KL_TIME_MIN_US && time_us <= KL_TIME_MAX_US);
    kl_time_format(time_us, again);
    status = kl_time_parse(again, strlen(again), &parsed, NULL);
    assert(status == KL_OK && parsed == time_us);
}

static void check_date(const char *text, size_t size)
{
    char again[KL_DATE_TEXT_BYTES];
    int64_t midnight_us = UNTOUCHED;
    enum kl_status status = kl_date_parse(text, size, &midnight_us, NULL);

    if (status != KL_OK) {
        assert(status == KL_ERR_INVALID && midnight_us == UNTOUCHED);
        return;
    }
    kl_date_format(midnight_us, again);
    assert(strlen(again) == size && memcmp(again, text, size) == 0);
}

static void check_duration(const char *text, size_t size)
{
    static const int64_t starts[] = {KL_TIME_MIN_US, -1, 0, INT64_C(1709164800000000),
                                     KL_TIME_MAX_US};
    struct kl_duration duration;

    if (kl_duration_parse(text, size, &duration, NULL) != KL_OK) {
        return;
    }
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        int64_t sum = kl_time_add(starts[i], &duration);
        assert(sum >= starts[i] && sum <= KL_TIME_MAX_US);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_moment((const char *)data, size);
    check_date((const char *)data, size);
    check_duration((const char *)data, size);
    return 0;
}
