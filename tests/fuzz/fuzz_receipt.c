/* A receipt as a file, from anybody: whatever it is, it is read or refused, and looked at to the end. */
#include "kluis/base/receipt.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kl_receipt_checks checks;
    const struct kl_receipt_person person = {.has_record = size % 2 == 0};
    struct kl_receipt_trust trust = {.person = size % 3 == 0 ? &person : NULL};
    struct kl_receipt *receipt = NULL;

    if (kl_receipt_read(data, size, &receipt, NULL) != KL_OK) {
        assert(receipt == NULL);
        return 0;
    }
    if (size % 5 == 0) {
        trust.keys = kl_json_member(kl_receipt_trail(receipt), "keys");
    }
    assert(kl_receipt_check(receipt, &trust, &checks, NULL) == KL_OK);
    assert(checks.count > 0 && checks.count <= KL_RECEIPT_CHECKS_MAX);
    for (size_t i = 0; i < checks.count; i++) {
        assert(memchr(checks.items[i].detail, 0, sizeof checks.items[i].detail) != NULL);
    }
    assert(!kl_receipt_holds(&checks)); /* nobody signs by a key of zeroes */
    kl_receipt_free(receipt);
    return 0;
}
