/* From the structs of the vault to JSON. Threads: any. */
#ifndef KLUIS_API_OUTPUT_H
#define KLUIS_API_OUTPUT_H

#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/vault/admin.h"
#include "kluis/vault/disclosure.h"
#include "kluis/vault/subject.h"

/* "key": "prefix_..." */
void api_output_id(struct kl_json_out *out, const char *key, const char *prefix,
                   const struct kl_id *id);
/* "next_cursor": the cursor, or null when it is empty. */
void api_output_cursor(struct kl_json_out *out, const char *cursor);
/* {id, residency, records: [{id, type, version}]}: what was made. */
void api_output_created(struct kl_json_out *out, const struct vault_subject_result *subject);
/*
 * {id, residency, records: [...]}: what may be read, each record as api_output_record() writes it.
 */
void api_output_subject(struct kl_json_out *out, const struct vault_subject_result *subject);
/* {id, type, source?, version?, created_at?, fields, views, withheld}; without the three with a question mark where a pseudonym is the id. */
void api_output_record(struct kl_json_out *out, const struct vault_record_result *record);
void api_output_consent(struct kl_json_out *out, const struct vault_consent_result *consent);
void api_output_disclosure(struct kl_json_out *out,
                           const struct vault_disclosure_result *disclosure);
void api_output_objection(struct kl_json_out *out, const struct vault_objection_result *objection);
void api_output_tenant(struct kl_json_out *out, const struct vault_tenant_result *tenant);
/* [{place, severity, code, detail}] */
void api_output_findings(struct kl_json_out *out, const struct vault_findings *findings);

#endif
