/*
 * Statistics of people who were erased: counts of their values in a general form, each of at least as many people as the policy says.
 * Threads: any number at once.
 */
#ifndef KLUIS_VAULT_STATISTICS_H
#define KLUIS_VAULT_STATISTICS_H

#include "kluis/base/arena.h"
#include "kluis/base/status.h"
#include "kluis/vault/vault.h"

#include <stddef.h>
#include <stdint.h>

struct vault_caller;

/* In one answer, before it is cut into pages: a shorter period has fewer. */
#define VAULT_STATISTICS_CELLS_MAX 262144
#define VAULT_MONTH_TEXT_BYTES 8 /* "2023-08" and a 0 byte */

/*
 * What is asked. Each may be NULL.
 *
 * field     "type.field": of that one alone
 * purpose   for which purpose; where the role's grants name purposes
 * from, to  months as "2023-08", both included
 * ended     of tenants of that name that have come to their end, for an operator; NULL: of the caller's tenant
 * limit     1..VAULT_PAGE_MAX; cursor: NULL or "" for the first page
 */
struct vault_statistics_query {
    const char *field;
    const char *purpose;
    const char *from;
    const char *to;
    const char *ended;
    size_t limit;
    const char *cursor;
};
/* period: the month in which it was published. kept: "year", ... value NULL: all other values, and none. Texts are the arena's. */
struct vault_statistics_cell {
    char period[VAULT_MONTH_TEXT_BYTES];
    const char *field;
    const char *kept;
    const char *value;
    uint64_t people;
};
/*
 * Read what was published, by period, field and value, "other" last. Who may: a role with `report` on the field, plain or masked, for the purpose where one is
 * given (transfers, consents and restrictions are no question: nobody is in these numbers); the auditor of the tenant; of tenants that are no more, the
 * operator. Fields that the role may not report on are left out. An entry in the trail says what was shown, before it is.
 *
 * ret_cells   the arena's. ret_cursor: VAULT_CURSOR_MAX_BYTES + 1 bytes, empty at the end.
 *
 * KL_ERR_FORBIDDEN "role_forbidden" (also a role that may report on no field at all), "withheld" (the field that was asked for; the text names the
 * gate); KL_ERR_INVALID "unknown_field", "unknown_purpose", "invalid_month", "invalid_limit", "invalid_cursor"; KL_ERR_TOO_LARGE "statistics_too_many";
 * KL_ERR_UNAVAILABLE "audit_unavailable"; KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_statistics_read(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct vault_statistics_query *query,
                                                 struct kl_arena *arena,
                                                 struct vault_statistics_cell **ret_cells,
                                                 size_t *ret_count, char *ret_cursor,
                                                 struct kl_err *err);

#endif
