/*
 * The audit trail for somebody else's system (a SIEM): a page of lines, each an entry, in one of three forms.
 */
#ifndef KLUIS_VAULT_AUDIT_EXPORT_H
#define KLUIS_VAULT_AUDIT_EXPORT_H

#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_AUDIT_EXPORT_MAX 10000 /* entries of one page */
#define VAULT_AUDIT_EXPORT_DEFAULT 1000
#define VAULT_AUDIT_EXPORT_MAX_BYTES (8 * 1024 * 1024)

/*
 * NDJSON  {"seq":n,"entry":{...}}: the entry byte for byte, from behind "entry": up to and without the last }; the SHA-256 of 0x00 and those bytes is its leaf of the tree.
 * CEF     ArcSight's Common Event Format, CEF:0.
 * OCSF    the Open Cybersecurity Schema Framework 1.3.0, a JSON object.
 */
enum vault_audit_format { VAULT_AUDIT_NDJSON, VAULT_AUDIT_CEF, VAULT_AUDIT_OCSF };
/* "ndjson", "cef", "ocsf". False: it is none; ret is untouched. */
bool vault_audit_format_parse(const char *text, enum vault_audit_format *ret);

/*
 * entry: begin with that number, -1: with the first; for who fetches what came since the last time. It may be the size of the trail, or lie behind it.
 * cursor: of the page before (NULL, empty: none), instead of entry.
 */
struct vault_audit_export_input {
    enum vault_audit_format format;
    int64_t from_us; /* 0: from the start */
    int64_t to_us;   /* exclusive; 0: to the end */
    int64_t entry;
    size_t limit; /* 1..VAULT_AUDIT_EXPORT_MAX */
    const char *cursor;
};
/* next_entry: where to go on another time. cursor: empty when there is nothing more now. */
struct vault_audit_export_page {
    uint64_t entries;
    uint64_t next_entry;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
};

/*
 * Whose trail: as vault_audit_list(). Lines are appended to ret, which is as before on failure. A page is an entry "audit_export" itself, with
 * how many it had and from which number to which, durable before the page leaves; pages that follow each other end where the trail did when the first was made.
 *
 * KL_ERR_INVALID "invalid_limit", "invalid_cursor", "invalid_range". KL_ERR_FORBIDDEN "role_forbidden"; "transfer": the credential's place is outside the EEA, and the
 * policy lets nothing go there. KL_ERR_CORRUPT "audit_damaged": an entry cannot be read; go on behind it with entry. KL_ERR_UNAVAILABLE
 * "audit_unavailable". KL_ERR_IO, KL_ERR_NO_MEMORY. Threads: any.
 */
KL_MUST_USE enum kl_status vault_audit_export(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct vault_audit_export_input *input,
                                              struct kl_buf *ret,
                                              struct vault_audit_export_page *ret_page,
                                              struct kl_err *err);

#endif
