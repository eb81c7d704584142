/*
 * The handlers, one per call; their table is in api/routes.c, their contract is api/openapi.json.
 */
#ifndef KLUIS_API_ROUTES_H
#define KLUIS_API_ROUTES_H

#include "api/app.h"
#include "api/report_write.h"
#include "kluis/vault/file.h"
#include "kluis/vault/request.h"

#define API_HANDLER(name)                                                           \
    enum kl_status name(struct api_request *request, struct api_response *response, \
                        struct kl_err *err)

/* What the query of a read asks for; subject and record are left to the caller. */
KL_MUST_USE enum kl_status api_read_input(const struct api_request *request,
                                          struct vault_read_input *ret_input, struct kl_err *err);
/* The members of a request, into an object that is open. Of one that went with its subject only id, right and state are known. */
void api_output_request(struct kl_json_out *out, const struct vault_request_result *result);
/* "notify": whom to tell of a rectification; nothing when there is nobody. */
void api_output_notify(struct kl_json_out *out, const char *const *names, size_t count);

/*
 * The document of a completion, from "format" and "lang" of its body (NULL: not said); document: where it goes. ret points into the three.
 * KL_ERR_INVALID "invalid_format", "invalid_language".
 */
enum api_format { API_FORMAT_JSON, API_FORMAT_HTML, API_FORMAT_CSV };
struct api_form {
    enum api_format format;
    enum api_language language;
    char name[16]; /* "html.nl" */
};
KL_MUST_USE enum kl_status api_answering(const struct kl_json_value *body, struct kl_buf *document,
                                         struct api_form *ret_form, struct vault_answering *ret,
                                         struct kl_err *err);
/*
 * Answer with a file, or the range of it that was asked for, whatever open finds: it says in the trail what leaves. As many at once as the server
 * takes: KL_ERR_BUSY "streams_under_way".
 */
typedef enum kl_status (*api_file_open)(struct api_request *request,
                                        struct vault_download **ret_download,
                                        struct vault_file_info *ret_info, struct kl_err *err);
KL_MUST_USE enum kl_status api_file_send(struct api_request *request, api_file_open open,
                                         struct api_response *response, struct kl_err *err);
/* "document": what was made, into an object that is open. */
void api_output_document(struct kl_json_out *out, const struct vault_answering *answering);

/* api/routes_service.c */
API_HANDLER(api_healthz);
API_HANDLER(api_readyz);
API_HANDLER(api_metrics_show);
API_HANDLER(api_openapi);
/* api/routes_subjects.c */
API_HANDLER(api_subject_create);
API_HANDLER(api_subject_list);
API_HANDLER(api_subject_read);
API_HANDLER(api_subject_patch);
API_HANDLER(api_subject_delete);
API_HANDLER(api_subject_erase);
API_HANDLER(api_lookup);
API_HANDLER(api_receipt_read);
/* api/routes_records.c */
API_HANDLER(api_record_add);
API_HANDLER(api_record_read);
API_HANDLER(api_record_patch);
API_HANDLER(api_record_delete);
API_HANDLER(api_record_verify);
/* api/routes_files.c */
API_HANDLER(api_file_put);
API_HANDLER(api_file_get);
/* api/routes_consents.c */
API_HANDLER(api_consent_list);
API_HANDLER(api_consent_put);
API_HANDLER(api_consent_delete);
API_HANDLER(api_consent_receipt);
/* api/routes_duties.c */
API_HANDLER(api_consents_due);
API_HANDLER(api_notice_audience);
API_HANDLER(api_report_retention);
API_HANDLER(api_report_processing);
/* api/routes_disclosures.c */
API_HANDLER(api_disclosure_list);
API_HANDLER(api_disclosure_note);
/* api/routes_reports.c */
API_HANDLER(api_access_report);
API_HANDLER(api_export);
/* api/routes_requests.c */
API_HANDLER(api_request_create);
API_HANDLER(api_request_list);
API_HANDLER(api_request_read);
API_HANDLER(api_request_verify);
API_HANDLER(api_request_extend);
API_HANDLER(api_request_complete);
API_HANDLER(api_request_reject);
/* api/routes_tokens.c */
API_HANDLER(api_tokens_resolve);
/* api/routes_batch.c */
API_HANDLER(api_batch);
/* api/routes_policy.c */
API_HANDLER(api_policy_read);
API_HANDLER(api_policy_put);
API_HANDLER(api_policy_check);
API_HANDLER(api_policy_diff);
API_HANDLER(api_explain);
/* api/routes_admin.c */
API_HANDLER(api_webhook_add);
API_HANDLER(api_webhook_list);
API_HANDLER(api_webhook_read);
API_HANDLER(api_webhook_remove);
API_HANDLER(api_webhook_test);
API_HANDLER(api_credential_create);
API_HANDLER(api_credential_list);
API_HANDLER(api_credential_revoke);
API_HANDLER(api_tenant_list);
API_HANDLER(api_tenant_read);
API_HANDLER(api_tenant_put);
API_HANDLER(api_keys_read);
API_HANDLER(api_keys_rotate);
API_HANDLER(api_keys_rotation);
API_HANDLER(api_keys_rotations);
/* api/routes_audit.c */
API_HANDLER(api_audit_list);
API_HANDLER(api_audit_export);
API_HANDLER(api_audit_head);
API_HANDLER(api_audit_summary);
API_HANDLER(api_review_create);
API_HANDLER(api_review_list);
/* api/routes_breach.c */
API_HANDLER(api_report_breach);
/* api/routes_trail.c */
API_HANDLER(api_audit_proof);
API_HANDLER(api_audit_consistency);
API_HANDLER(api_audit_entries);
API_HANDLER(api_audit_keys);
/* api/routes_prunes.c */
API_HANDLER(api_prune_start);
API_HANDLER(api_prune_read);
API_HANDLER(api_prune_list);

/* api/routes_sweeps.c */
API_HANDLER(api_sweep_start);
API_HANDLER(api_sweep_read);
API_HANDLER(api_sweep_list);
/* api/routes_retention.c */
API_HANDLER(api_retention_start);
API_HANDLER(api_retention_read);
API_HANDLER(api_retention_list);

/* api/routes_limits.c */
API_HANDLER(api_restriction_read);
API_HANDLER(api_restriction_put);
API_HANDLER(api_restriction_delete);
API_HANDLER(api_objection_list);
API_HANDLER(api_objection_put);
API_HANDLER(api_objection_delete);
API_HANDLER(api_event_post);
API_HANDLER(api_event_delete);

/* api/routes_statistics.c */
API_HANDLER(api_statistics_read);

/* api/routes_holds.c */
API_HANDLER(api_hold_put);
API_HANDLER(api_hold_delete);
API_HANDLER(api_retained_read);
API_HANDLER(api_retained_end);
/* api/routes_custodian.c */
API_HANDLER(api_custodian_put);
/* api/routes_mirrors.c */
API_HANDLER(api_mirror_list);
API_HANDLER(api_mirror_add);
API_HANDLER(api_mirror_drop);
/* api/routes_backups.c */
API_HANDLER(api_backup_create);
API_HANDLER(api_backup_list);
API_HANDLER(api_backup_read);
API_HANDLER(api_backup_verify);
API_HANDLER(api_backup_verification);
/* api/routes_stores.c */
API_HANDLER(api_store_list);
API_HANDLER(api_store_add);
/* api/routes_tenants.c */
API_HANDLER(api_tenant_end);
API_HANDLER(api_tenant_restore);
/* api/routes_tenant_export.c */
API_HANDLER(api_tenant_export);
API_HANDLER(api_tenant_export_file);
API_HANDLER(api_tenant_export_kept_file);

#endif
