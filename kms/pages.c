/* Going through the pages that were written out, for a rotation. */
#include "kms/internal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(KMS_PAGES_CURSOR_BYTES == KMS_PAGE_KEY_BYTES, "the cursor is the row of a page");

struct visit {
    struct kms_pages_cursor cursor;
    struct kms_place *places;
    size_t count;
    size_t max;
};

static enum kl_status see(void *visitor, struct kl_slice key, struct kl_slice value,
                          struct kl_err *err)
{
    struct visit *visit = visitor;
    struct kms_address address;

    (void)value;
    if (key.size != KMS_PAGE_KEY_BYTES) {
        return KL_OK;
    }
    if (visit->count == visit->max) {
        return kl_fail(err, KL_ERR_BUSY, "enough", "enough", "enough pages were seen");
    }
    kms_page_row_address(key.bytes, &address);
    if (!kms_address_valid(&address)) {
        return KL_OK; /* nothing hangs there */
    }
    visit->places[visit->count++] = kms_address_first(&address);
    memcpy(visit->cursor.after, key.bytes, KMS_PAGE_KEY_BYTES);
    return KL_OK;
}

/* Whether enough was seen, or an error. */
static enum kl_status see_range(struct kms *kms, struct visit *visit, const unsigned char *prefix,
                                size_t prefix_bytes, struct kl_err *err)
{
    unsigned char after[KMS_PAGE_KEY_BYTES];
    bool started = !sodium_is_zero(visit->cursor.after, sizeof visit->cursor.after);
    struct kl_err failure = {0};
    enum kl_status status;

    if (visit->count == visit->max) {
        return KL_OK;
    }
    memcpy(after, visit->cursor.after, sizeof after); /* see() moves the cursor on */
    status =
        kms_rows_range(&kms->rows, (struct kl_slice){prefix, prefix_bytes},
                       (struct kl_slice){after, started ? sizeof after : 0}, see, visit, &failure);
    if (status == KL_OK || (status == KL_ERR_BUSY && visit->count == visit->max)) {
        return KL_OK;
    }
    return kl_fail(err, status, "key_store_io", "the key store could not be read", "%s",
                   failure.log_text);
}

enum kl_status kms_pages_next(struct kms *kms, uint64_t tenant, struct kms_pages_cursor *cursor,
                              size_t max, struct kms_place *ret_places, size_t *ret_count,
                              struct kl_err *err)
{
    struct visit visit = {.cursor = *cursor, .places = ret_places, .max = max};
    unsigned char prefix[1 + 1 + 8] = {KMS_ROW_PAGE};
    enum kl_status status;

    if (tenant == KMS_TENANT_ALL) {
        status = see_range(kms, &visit, prefix, 1, err);
    } else {
        prefix[1] = KMS_TREE_TENANT;
        kl_put_u64be(prefix + 2, tenant);
        status = see_range(kms, &visit, prefix, sizeof prefix, err);
        if (status == KL_OK) {
            prefix[1] = KMS_TREE_SUBJECT;
            status = see_range(kms, &visit, prefix, sizeof prefix, err);
        }
    }
    if (status == KL_OK) {
        *cursor = visit.cursor;
        *ret_count = visit.count;
    }
    return status;
}
