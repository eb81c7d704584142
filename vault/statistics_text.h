/*
 * What is written down for statistics: what one erasure gives to them, and one statistic as it is published. Big-endian; sealed beside the
 * keys (waiting.h, statistics.h).
 *
 *   given       format u8 1, person 16, minimum u32, count u8, then for each: field sized, generalisation u8, there u8 (0 or 1), value sized
 *   published   format u8 1, tenant's name sized, minimum u32, field sized, generalisation u8, other u64, count u16, then for each cell: value
 *               sized, people u64
 *
 * Threads: any; nothing is shared.
 */
#ifndef VAULT_STATISTICS_TEXT_H
#define VAULT_STATISTICS_TEXT_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/vault/admin.h"
#include "vault/counting.h"

#define VAULT_GIVEN_MAX_BYTES \
    (24 + VAULT_STATISTICS_MAX * (10 + VAULT_COUNTED_FIELD_BYTES + VAULT_GENERAL_MAX_BYTES))
#define VAULT_PUBLISHED_MAX_BYTES (512 + VAULT_CELLS_MAX * (12 + VAULT_GENERAL_MAX_BYTES))

/* One value of somebody who is erased; has_value false: they had none. */
struct vault_given_item {
    char field[VAULT_COUNTED_FIELD_BYTES];
    enum vault_generalisation how;
    bool has_value;
    char value[VAULT_GENERAL_MAX_BYTES + 1];
};
/* person: a keyed hash, so that nobody counts twice. minimum: of the policy by which they were erased. */
struct vault_given {
    unsigned char person[VAULT_PERSON_BYTES];
    uint32_t minimum;
    size_t count;
    struct vault_given_item items[VAULT_STATISTICS_MAX];
};
/* Append. KL_ERR_TOO_LARGE (ret is full), KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_given_encode(const struct vault_given *given, struct kl_buf *ret,
                                              struct kl_err *err);
/* KL_ERR_CORRUPT "statistic_damaged"; ret untouched. */
KL_MUST_USE enum kl_status vault_given_decode(struct kl_slice text, struct vault_given *ret,
                                              struct kl_err *err);

/* One statistic of one publication. cells are the arena's. */
struct vault_published {
    char tenant[VAULT_TENANT_NAME_MAX_BYTES + 1];
    uint32_t minimum;
    struct vault_counted counted;
};
KL_MUST_USE enum kl_status vault_published_encode(const char *tenant, uint32_t minimum,
                                                  const struct vault_counted *counted,
                                                  struct kl_buf *ret, struct kl_err *err);
/* KL_ERR_CORRUPT "statistic_damaged" (also a cell of fewer people than the minimum), KL_ERR_NO_MEMORY; ret untouched. */
KL_MUST_USE enum kl_status vault_published_decode(struct kl_slice text, struct kl_arena *arena,
                                                  struct vault_published *ret, struct kl_err *err);

#endif
