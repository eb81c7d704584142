/*
 * The trail as it lies on the disk, gone over entry by entry: what of it is
 * not what it was. Reads rows alone, so that it may be done while nobody has
 * the vault open, and changes nothing.
 * Threads: any number at once.
 */
#ifndef VAULT_AUDIT_CHECK_H
#define VAULT_AUDIT_CHECK_H

#include "kluis/base/trail_check.h"
#include "vault/vault_internal.h"

/*
 * Compare the entries of a tenant with the stored tree (all of it), the frontier, the index by ids and the search index, and the head that is known beside the keys. What is wrong is a finding of
 * ret (the codes of kluis/base/trail_check.h; "index_damaged", and "entry_inserted" for one that lies behind the end), and no failure. ret_size: entries, lost ones too.
 * KL_ERR_CORRUPT "audit_frontier_corrupt", "audit_lost_damaged", "audit_head_damaged": nothing can be compared. KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_audit_check(struct vault *vault, uint64_t tenant,
                                             struct kl_trail_findings *ret, uint64_t *ret_size,
                                             struct kl_err *err);
/*
 * At open: whether the trails begin with the heads that are known beside the keys. Of one that does not, an entry "trail_rewritten" says so,
 * and the log. Errors of a commit and of reading trails.
 */
KL_MUST_USE enum kl_status vault_audit_known_check(struct vault *vault, struct kl_err *err);

#endif
