/*
 * Reviews of a trail as they are kept: a JSON text in row 'U', sealed as a
 * remark (remark.h) for its id. Nothing of it is in clear but where it begins.
 *
 *   {"id","from","to","at","credential","role","own_entries","lost","findings":[...],"size","root_hash","note"}
 *
 * Threads: any.
 */
#ifndef VAULT_REVIEW_ROW_H
#define VAULT_REVIEW_ROW_H

#include "kluis/base/json.h"
#include "kluis/vault/review.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* A review about to be kept. Texts are the caller's. */
struct vault_review {
    struct kl_id id;
    uint64_t from;
    uint64_t to;
    int64_t at_us;
    struct kl_id credential;
    const char *role;
    uint64_t own_entries;
    uint64_t lost;
    const int64_t *findings;
    size_t finding_count;
    uint64_t size;
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    const char *note; /* NULL: none */
};
/* The members of it, all but the note, into an object that is open: of the answer, and of the entry in the trail. */
void vault_review_write(const struct vault_review *review, struct kl_json_out *out);
/* Put the row into batch, and the text of it into ret. KL_ERR_TOO_LARGE; as kms_seal(). */
KL_MUST_USE enum kl_status vault_review_put(struct vault *vault, uint64_t tenant,
                                            const struct vault_review *review,
                                            struct vault_batch *batch, struct kl_buf *ret,
                                            struct kl_err *err);

/*
 * Going over the reviews of a trail in the order of where they begin, from `from` and behind `after` on (NULL: with the first that begins there). text
 * is appended to nothing: it holds one review until the next call.
 */
struct vault_review_walk {
    struct vault *vault;
    uint64_t tenant;
    struct vault_iter *iter;
    struct kl_buf text;
};
KL_MUST_USE enum kl_status vault_review_walk_begin(struct vault_review_walk *walk,
                                                   struct vault *vault, uint64_t tenant,
                                                   uint64_t from, const struct kl_id *after,
                                                   struct kl_err *err);
/* What a walk gives: where it begins and ends, and whether it counts: the reviewer had no part in it. */
struct vault_review_span {
    struct kl_id id;
    uint64_t from;
    uint64_t to;
    bool counts;
};
/* KL_ERR_NOT_FOUND (err as it was): there are no more. KL_ERR_CORRUPT "review_damaged"; as kms_unseal(). */
KL_MUST_USE enum kl_status vault_review_walk_next(struct vault_review_walk *walk,
                                                  struct vault_review_span *ret,
                                                  struct kl_err *err);
void vault_review_walk_end(struct vault_review_walk *walk);
/* One of them. KL_ERR_NOT_FOUND "not_found"; else as above. ret is appended to. */
KL_MUST_USE enum kl_status vault_review_get(struct vault *vault, uint64_t tenant, uint64_t from,
                                            const struct kl_id *id, struct kl_buf *ret,
                                            struct kl_err *err);
/* The number of the first entry, of those that did not go by a policy, that no review which counts covers; the size: there is none. As the walk. */
KL_MUST_USE enum kl_status vault_review_first_gap(struct vault *vault, uint64_t tenant,
                                                  uint64_t *ret_from, struct kl_err *err);
/* What a review says of itself, as in span. False: it is none. */
bool vault_review_parse(struct kl_slice text, struct vault_review_span *ret);

#endif
