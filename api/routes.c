/* Which call is answered by what. The order is that of the "Allow" header, and of the metrics. */
#include "api/routes.h"

static const char *const TENANT[] = {"tenant", NULL};
static const char *const STORE[] = {"tenant", "store", NULL};
static const char *const READ[] = {"tenant", "purpose", "recipient", "ground", "fields", NULL};
static const char *const READ_FILE[] = {"tenant", "purpose", "recipient", "ground", NULL};
static const char *const READ_LIST[] = {"tenant", "type",  "purpose", "recipient", "ground",
                                        "fields", "limit", "cursor",  NULL};
static const char *const PURPOSE[] = {"tenant", "purpose", NULL};
static const char *const REPORT[] = {"tenant", "purpose", "format", "lang", NULL};
static const char *const PROCESSING[] = {"tenant", "format", "lang", NULL};
static const char *const EXPORT[] = {"tenant", "purpose", "format", NULL};
static const char *const PAGE[] = {"tenant", "limit", "cursor", NULL};
static const char *const LIMITED[] = {"tenant", "store", "limit", NULL};
static const char *const REASON[] = {"tenant", "reason", NULL};
static const char *const RECIPIENT[] = {"tenant", "recipient", NULL};
static const char *const BASIS[] = {"tenant", "basis", NULL};
static const char *const CONSENT_RECEIPT[] = {"tenant", "recipient", "consent", NULL};
static const char *const CONSENTS_DUE[] = {"tenant", "before", "purpose", "limit", "cursor", NULL};
static const char *const AUDIENCE[] = {"tenant", "notice", "limit", "cursor", NULL};
static const char *const DUE[] = {"tenant", "before", "limit", "cursor", NULL};
static const char *const TOLD[] = {"tenant", "told_at", NULL};
static const char *const REQUESTS[] = {"tenant", "state", "due_before", "limit", "cursor", NULL};
static const char *const DESTROYED[] = {"tenant", "store", "destroyed", NULL};
static const char *const AUDIT[] = {"tenant", "store",  "subject", "credential", "purpose",
                                    "field",  "action", "result",  "from",       "to",
                                    "limit",  "cursor", NULL};
static const char *const AUDIT_EXPORT[] = {"tenant", "store", "format", "from", "to",
                                           "entry",  "limit", "cursor", NULL};
static const char *const PROOF[] = {"tenant", "store", "entry", "index", "size", NULL};
static const char *const SIZES[] = {"tenant", "store", "from", "to", NULL};
static const char *const ENTRIES[] = {"tenant", "store", "from", "limit", NULL};
static const char *const SUMMARY[] = {"tenant", "store", "from", "to", "entry", "hours", NULL};
static const char *const STATISTICS[] = {"tenant", "store", "field", "purpose", "from",
                                         "to",     "ended", "limit", "cursor",  NULL};
static const char *const END[] = {"now", NULL};
static const char *const FIELD[] = {"field", NULL};
static const char *const DIFF[] = {"tenant", "subjects", NULL};

const struct api_route API_ROUTES[] = {
    {"GET", "/v1/subjects/{sub}", api_subject_read, 0, READ},
    {"PATCH", "/v1/subjects/{sub}", api_subject_patch, API_ROUTE_JSON, TENANT},
    {"DELETE", "/v1/subjects/{sub}", api_subject_delete, API_ROUTE_WHEN_LOW, REASON},
    {"POST", "/v1/subjects", api_subject_create, API_ROUTE_JSON, TENANT},
    {"GET", "/v1/subjects", api_subject_list, 0, READ_LIST},
    {"POST", "/v1/subjects/{sub}/erase", api_subject_erase,
     API_ROUTE_JSON_OPTIONAL | API_ROUTE_WHEN_LOW, TENANT},
    {"POST", "/v1/subjects/{sub}/records", api_record_add, API_ROUTE_JSON, TENANT},
    {"GET", "/v1/subjects/{sub}/records/{rec}", api_record_read, 0, READ},
    {"PATCH", "/v1/subjects/{sub}/records/{rec}", api_record_patch, API_ROUTE_JSON, TENANT},
    {"DELETE", "/v1/subjects/{sub}/records/{rec}", api_record_delete, API_ROUTE_WHEN_LOW, REASON},
    {"POST", "/v1/subjects/{sub}/records/{rec}/verify", api_record_verify, API_ROUTE_JSON, TENANT},
    {"PUT", "/v1/subjects/{sub}/records/{rec}/files/{field}", api_file_put, API_ROUTE_STREAM,
     TENANT},
    {"GET", "/v1/subjects/{sub}/records/{rec}/files/{field}", api_file_get, 0, READ_FILE},
    {"PUT", "/v1/subjects/{sub}/records/{rec}/hold", api_hold_put, API_ROUTE_JSON, TENANT},
    {"DELETE", "/v1/subjects/{sub}/records/{rec}/hold", api_hold_delete, API_ROUTE_WHEN_LOW,
     TENANT},
    {"GET", "/v1/subjects/{sub}/consents", api_consent_list, 0, TENANT},
    {"PUT", "/v1/subjects/{sub}/consents/{purpose}", api_consent_put, API_ROUTE_JSON, TENANT},
    {"DELETE", "/v1/subjects/{sub}/consents/{purpose}", api_consent_delete, API_ROUTE_WHEN_LOW,
     RECIPIENT},
    {"GET", "/v1/subjects/{sub}/consents/{purpose}/receipt", api_consent_receipt, 0,
     CONSENT_RECEIPT},
    {"GET", "/v1/consents/due", api_consents_due, 0, CONSENTS_DUE},
    {"GET", "/v1/notices/audience", api_notice_audience, 0, AUDIENCE},
    {"GET", "/v1/reports/retention", api_report_retention, 0, DUE},
    {"GET", "/v1/reports/processing", api_report_processing, 0, PROCESSING},
    {"GET", "/v1/subjects/{sub}/restriction", api_restriction_read, 0, TENANT},
    {"PUT", "/v1/subjects/{sub}/restriction", api_restriction_put,
     API_ROUTE_JSON | API_ROUTE_WHEN_LOW, TENANT},
    {"DELETE", "/v1/subjects/{sub}/restriction", api_restriction_delete, 0, TOLD},
    {"GET", "/v1/subjects/{sub}/objections", api_objection_list, 0, TENANT},
    {"PUT", "/v1/subjects/{sub}/objections/{purpose}", api_objection_put,
     API_ROUTE_JSON | API_ROUTE_WHEN_LOW, TENANT},
    {"DELETE", "/v1/subjects/{sub}/objections/{purpose}", api_objection_delete, 0, TENANT},
    {"POST", "/v1/subjects/{sub}/records/{rec}/events", api_event_post, API_ROUTE_JSON, TENANT},
    {"DELETE", "/v1/subjects/{sub}/records/{rec}/events/{event}", api_event_delete, 0, TENANT},
    {"GET", "/v1/subjects/{sub}/access-report", api_access_report, 0, REPORT},
    {"GET", "/v1/subjects/{sub}/export", api_export, 0, EXPORT},
    {"GET", "/v1/subjects/{sub}/disclosures", api_disclosure_list, 0, TENANT},
    {"POST", "/v1/subjects/{sub}/disclosures", api_disclosure_note, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/requests", api_request_create, API_ROUTE_JSON, TENANT},
    {"GET", "/v1/requests", api_request_list, 0, REQUESTS},
    {"GET", "/v1/requests/{req}", api_request_read, 0, TENANT},
    {"POST", "/v1/requests/{req}/verify", api_request_verify, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/requests/{req}/extend", api_request_extend, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/requests/{req}/complete", api_request_complete, API_ROUTE_JSON_OPTIONAL, TENANT},
    {"POST", "/v1/requests/{req}/reject", api_request_reject, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/lookup", api_lookup, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/tokens/resolve", api_tokens_resolve, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/batch", api_batch, API_ROUTE_JSON | API_ROUTE_BATCH | API_ROUTE_WHEN_LOW, TENANT},
    {"GET", "/v1/policy", api_policy_read, 0, TENANT},
    {"PUT", "/v1/policy", api_policy_put, API_ROUTE_YAML, TENANT},
    {"POST", "/v1/policy/check", api_policy_check, API_ROUTE_YAML, TENANT},
    {"POST", "/v1/policy/diff", api_policy_diff, API_ROUTE_YAML, DIFF},
    {"POST", "/v1/explain", api_explain, API_ROUTE_JSON, TENANT},
    {"POST", "/v1/credentials", api_credential_create, API_ROUTE_JSON, TENANT},
    {"GET", "/v1/credentials", api_credential_list, API_ROUTE_WHEN_LOW, PAGE},
    {"DELETE", "/v1/credentials/{cred}", api_credential_revoke, API_ROUTE_WHEN_LOW, TENANT},
    {"POST", "/v1/webhooks", api_webhook_add, API_ROUTE_JSON, STORE},
    {"GET", "/v1/webhooks", api_webhook_list, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/webhooks/{hook}", api_webhook_read, 0, STORE},
    {"DELETE", "/v1/webhooks/{hook}", api_webhook_remove, API_ROUTE_WHEN_LOW, STORE},
    {"POST", "/v1/webhooks/{hook}/test", api_webhook_test, 0, STORE},
    {"GET", "/v1/keys", api_keys_read, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/keys/rotations", api_keys_rotations, API_ROUTE_WHEN_LOW, STORE},
    {"POST", "/v1/keys/rotations", api_keys_rotate, API_ROUTE_JSON, STORE},
    {"GET", "/v1/keys/rotations/{rot}", api_keys_rotation, API_ROUTE_WHEN_LOW, STORE},
    {"POST", "/v1/keys/sweeps", api_sweep_start, API_ROUTE_JSON_OPTIONAL | API_ROUTE_WHEN_LOW,
     STORE},
    {"GET", "/v1/keys/sweeps", api_sweep_list, API_ROUTE_WHEN_LOW, LIMITED},
    {"GET", "/v1/keys/sweeps/{swp}", api_sweep_read, API_ROUTE_WHEN_LOW, STORE},
    {"POST", "/v1/retention/runs", api_retention_start,
     API_ROUTE_JSON_OPTIONAL | API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/retention/runs", api_retention_list, API_ROUTE_WHEN_LOW, LIMITED},
    {"GET", "/v1/retention/runs/{rtn}", api_retention_read, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/statistics", api_statistics_read, 0, STATISTICS},
    {"PUT", "/v1/keys/custodian", api_custodian_put, API_ROUTE_JSON, STORE},
    {"GET", "/v1/keys/mirrors", api_mirror_list, API_ROUTE_WHEN_LOW, STORE},
    {"POST", "/v1/keys/mirrors", api_mirror_add, API_ROUTE_JSON, STORE},
    {"DELETE", "/v1/keys/mirrors/{mir}", api_mirror_drop, API_ROUTE_WHEN_LOW, DESTROYED},
    {"POST", "/v1/backups", api_backup_create, API_ROUTE_JSON, STORE},
    {"GET", "/v1/backups", api_backup_list, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/backups/{bak}", api_backup_read, API_ROUTE_WHEN_LOW, STORE},
    {"POST", "/v1/backups/{bak}/verify", api_backup_verify, API_ROUTE_JSON_OPTIONAL, STORE},
    {"GET", "/v1/backups/verifications/{ver}", api_backup_verification, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/audit", api_audit_list, 0, AUDIT},
    {"GET", "/v1/audit/export", api_audit_export, 0, AUDIT_EXPORT},
    {"GET", "/v1/audit/head", api_audit_head, 0, STORE},
    {"GET", "/v1/audit/proof", api_audit_proof, 0, PROOF},
    {"GET", "/v1/audit/consistency", api_audit_consistency, 0, SIZES},
    {"GET", "/v1/audit/entries", api_audit_entries, 0, ENTRIES},
    {"POST", "/v1/audit/prunes", api_prune_start, API_ROUTE_JSON_OPTIONAL | API_ROUTE_WHEN_LOW,
     STORE},
    {"GET", "/v1/audit/prunes", api_prune_list, API_ROUTE_WHEN_LOW, LIMITED},
    {"GET", "/v1/audit/prunes/{prn}", api_prune_read, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/audit/keys", api_audit_keys, 0, STORE},
    {"GET", "/v1/audit/summary", api_audit_summary, 0, SUMMARY},
    {"POST", "/v1/audit/reviews", api_review_create, API_ROUTE_JSON, TENANT},
    {"GET", "/v1/audit/reviews", api_review_list, 0, PAGE},
    {"POST", "/v1/reports/breach", api_report_breach, API_ROUTE_JSON, TENANT},
    {"GET", "/v1/erasures/{er}", api_receipt_read, API_ROUTE_WHEN_LOW, STORE},
    {"GET", "/v1/erasures/{er}/records/{rec}", api_retained_read, 0, PURPOSE},
    {"DELETE", "/v1/erasures/{er}/records/{rec}", api_retained_end, API_ROUTE_WHEN_LOW, BASIS},
    {"GET", "/v1/stores", api_store_list, API_ROUTE_WHEN_LOW, NULL},
    {"POST", "/v1/stores", api_store_add, API_ROUTE_JSON, NULL},
    {"GET", "/v1/tenants", api_tenant_list, API_ROUTE_WHEN_LOW, NULL},
    {"GET", "/v1/tenants/{tenant}", api_tenant_read, API_ROUTE_WHEN_LOW, NULL},
    {"PUT", "/v1/tenants/{tenant}", api_tenant_put, API_ROUTE_JSON_OPTIONAL, NULL},
    {"DELETE", "/v1/tenants/{tenant}", api_tenant_end, API_ROUTE_WHEN_LOW, END},
    {"POST", "/v1/tenants/{tenant}/restore", api_tenant_restore, API_ROUTE_WHEN_LOW, NULL},
    {"POST", "/v1/tenants/{tenant}/export", api_tenant_export,
     API_ROUTE_JSON_OPTIONAL | API_ROUTE_CLOSED, NULL},
    {"GET", "/v1/tenants/{tenant}/export/subjects/{sub}/records/{rec}/file", api_tenant_export_file,
     API_ROUTE_CLOSED, FIELD},
    {"GET", "/v1/tenants/{tenant}/export/erasures/{er}/records/{rec}/file",
     api_tenant_export_kept_file, API_ROUTE_CLOSED, FIELD},
    {"GET", "/healthz", api_healthz, API_ROUTE_OPEN | API_ROUTE_METRICS, NULL},
    {"GET", "/readyz", api_readyz, API_ROUTE_OPEN | API_ROUTE_METRICS, NULL},
    {"GET", "/metrics", api_metrics_show, API_ROUTE_METRICS | API_ROUTE_WHEN_LOW, NULL},
    {"GET", "/openapi.json", api_openapi, API_ROUTE_OPEN, NULL},
};
const size_t API_ROUTES_COUNT = sizeof API_ROUTES / sizeof API_ROUTES[0];
