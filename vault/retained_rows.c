/* The removal of a subject's rows, but for those of records that were retained. */
#include "vault/aside.h"
#include "vault/retained.h"
#include "vault/rows.h"

#include <stdlib.h>

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right ? 1 : 0;
}

/* Value slots of what was retained of a slot, sorted; the arena's. */
static enum kl_status kept_values(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct kl_arena *arena, uint64_t **ret, size_t *ret_count,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_retained_line *lines = NULL;
    uint64_t *values = NULL;
    size_t damaged = 0;
    size_t of = 0;
    size_t count = 0;
    size_t i;
    size_t k;

    status = vault_retained_lines(vault, tenant, slot, arena, &lines, &of, &damaged, err);
    for (i = 0; status == KL_OK && i < of; i++) {
        count += lines[i].value_count;
        damaged += !lines[i].opened;
    }
    if (status == KL_OK && damaged > 0) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "retained_damaged",
                    "what was kept of a subject cannot be read, so nothing of it is removed", NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    values = kl_arena_array(arena, count, sizeof *values);
    if (values == NULL) {
        return kl_fail_memory(err);
    }
    for (count = 0, i = 0; i < of; i++) {
        for (k = 0; k < lines[i].value_count; k++) {
            values[count++] = lines[i].values[k];
        }
    }
    qsort(values, count, sizeof *values, by_number);
    *ret = values;
    *ret_count = count;
    return KL_OK;
}

/* From first to before past; past 0: to the end of the slot's rows. */
typedef struct vault_row_key (*row_of)(uint64_t tenant, uint64_t slot, uint64_t value);

static void remove_rows(struct vault_batch *batch, row_of row, uint64_t tenant, uint64_t slot,
                        uint64_t first, uint64_t past)
{
    struct vault_row_key from = row(tenant, slot, first);
    struct vault_row_key prefix = from;
    struct vault_row_key to;

    prefix.size -= 8;
    to = past == 0 ? vault_row_past(&prefix) : row(tenant, slot, past);
    if (past == 0 || first < past) {
        vault_batch_remove_range(batch, vault_row_slice(&from), vault_row_slice(&to));
    }
}

static void remove_values(struct vault_batch *batch, uint64_t tenant, uint64_t slot, uint64_t first,
                          uint64_t past)
{
    remove_rows(batch, vault_row_value, tenant, slot, first, past);
    remove_rows(batch, vault_row_file, tenant, slot, first, past);
}

enum kl_status vault_subject_rows_remove(struct vault *vault, uint64_t tenant, uint64_t slot,
                                         struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key head = vault_row_head(tenant, slot);
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    uint64_t *values = NULL;
    uint64_t next = 0;
    size_t count = 0;
    size_t i;

    status = arena == NULL ? kl_fail_memory(err)
                           : kept_values(vault, tenant, slot, arena, &values, &count, err);
    if (status == KL_OK) {
        vault_batch_remove(batch, vault_row_slice(&head));
        for (i = 0; i < count; i++) {
            if (values[i] > next) {
                remove_values(batch, tenant, slot, next, values[i]);
            }
            next = values[i] + 1; /* a value of several lines comes several times */
        }
        remove_values(batch, tenant, slot, next, 0);
        status = vault_aside_rows_remove(vault, tenant, slot, batch, err);
    }
    kl_arena_free(arena);
    return status;
}
