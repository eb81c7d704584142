/*
 * The rows of a request in clear: numbers and its random id, nothing of what
 * is asked (aside.h and rows.h have their forms). Threads: any.
 */
#ifndef VAULT_REQUEST_ROWS_H
#define VAULT_REQUEST_ROWS_H

#include "vault/rows.h"
#include "vault/store/store.h"

#define VAULT_REQUEST_ROW_BYTES 17

/* What row 'Q' of a request says: where it is sealed, and under which deadline it is listed. */
struct vault_request_row {
    uint64_t value;
    int64_t due_us;
    bool open;
};

/* False: it is none. */
bool vault_request_row_read(struct kl_slice row, struct vault_request_row *ret);
/* All rows of a request of that subject. was: what they said before; NULL: it is new. */
void vault_request_rows_put(struct vault_batch *batch, uint64_t tenant, uint64_t slot,
                            const struct kl_id *request, const struct vault_request_row *was,
                            const struct vault_request_row *now);
/* Take away those that are not kept by subject ('q'). */
void vault_request_rows_remove(struct vault_batch *batch, uint64_t tenant,
                               const struct kl_id *request, const struct vault_request_row *was);

/*
 * Requests of a tenant in the order of their deadlines, open ones first. A visit returns false to end. after (may be NULL): where to go on,
 * as a visit was given it. until_us: only those due before. KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
struct vault_request_place {
    bool open;
    int64_t due_us;
    struct kl_id request;
};
typedef bool (*vault_request_visit)(void *visitor, const struct vault_request_place *place,
                                    uint64_t slot);
KL_MUST_USE enum kl_status vault_request_rows_each(struct vault_store *store, uint64_t tenant,
                                                   bool open, int64_t until_us,
                                                   const struct vault_request_place *after,
                                                   vault_request_visit visit, void *visitor,
                                                   struct kl_err *err);

#endif
