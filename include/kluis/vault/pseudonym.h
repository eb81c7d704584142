/*
 * From a pseudonym back to the person: what view `token` showed a recipient
 * in the place of a value, or of the id of a subject or a record.
 *
 * A pseudonym is "tok_" and 52 digits as ids have them (base/id.h). It belongs to one recipient, is the same at each read for that recipient for as
 * long as the subject (and the record) is there, and says nothing of the value: not whether it changed, nor whether another person has the same.
 * What it is made of, and why it ends with the subject: vault/pseudonym.h.
 */
#ifndef KLUIS_VAULT_PSEUDONYM_H
#define KLUIS_VAULT_PSEUDONYM_H

#include "kluis/vault/subject.h"

#define VAULT_PSEUDONYM_CHARS (4 + 2 * KL_ID_DIGITS)
#define VAULT_PSEUDONYMS_RESOLVE_MAX 1000 /* in one request */
/* What may turn out not to be found, of one credential. */
#define VAULT_RESOLVE_MISSES_MAX 10000
#define VAULT_RESOLVE_MISSES_WINDOW_S 3600

/* recipient: whose pseudonyms they are; those of others are unknown. purpose NULL: the credential's single one. */
struct vault_resolve_input {
    const char *const *pseudonyms;
    size_t count; /* 1..VAULT_PSEUDONYMS_RESOLVE_MAX */
    const char *recipient;
    const char *purpose;
    enum vault_ground ground;
};
/* has_record: it stood for a record's id, or a field of one. field NULL: for an id. Texts are the arena's. */
struct vault_resolved {
    bool found;
    struct kl_id subject;
    bool has_record;
    struct kl_id record;
    const char *type;
    const char *field;
};
/*
 * Resolve pseudonyms, in their order. Each needs `lookup` for the purpose, past all gates and shown more openly than as a token: on its field;
 * for an id on any field of the record, or of the subject. Each is an entry of the trail, durable before anything is told, and counts
 * under a volume as a subject that was looked up. One that was never given out, that is another recipient's, of whom this credential may not find,
 * of somebody or something erased: all of these are not found, and not told apart. The same one several times in a request is resolved, written
 * down and counted once.
 *
 * ret: room for input->count, set on KL_OK only.
 *
 * KL_ERR_INVALID "invalid_token" (it does not look like one), "missing_key" (no pseudonyms, no recipient), "unknown_recipient", "unknown_purpose",
 * "purpose_required". KL_ERR_TOO_LARGE "too_many_items". KL_ERR_FORBIDDEN "withheld": the role may look up nothing for this purpose;
 * "volume_exceeded", "too_many_attempts" (more than VAULT_RESOLVE_MISSES_MAX were not found lately; both with err->retry_after_s): for one of
 * them, so that none is told. Others as subject.h names for all.
 */
KL_MUST_USE enum kl_status vault_pseudonyms_resolve(struct vault *vault,
                                                    const struct vault_caller *caller,
                                                    const struct vault_resolve_input *input,
                                                    struct kl_arena *arena,
                                                    struct vault_resolved *ret, struct kl_err *err);

#endif
