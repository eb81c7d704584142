#include "kms/mirrors.h"

void kms_mirrors_post(struct kms_mirrors *mirrors, const struct kms_storage_write *writes,
                      size_t count, bool sync)
{
    (void)mirrors;
    (void)writes;
    (void)count;
    (void)sync;
}

void kms_mirrors_wait(struct kms_mirrors *mirrors)
{
    (void)mirrors;
}
