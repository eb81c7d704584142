#include "vault/audit_forms.h"

#include "kluis/base/json.h"

#include <string.h>

#define MICROSECONDS_OF_MILLISECOND 1000
#define CATEGORY_UID 6 /* Application Activity */
#define TYPE_FACTOR 100
#define OTHER_ID 99
/* user.type_id */
#define USER_ID 1
#define ADMIN_ID 2
#define SYSTEM_ID 3

void vault_audit_form_ndjson(const struct vault_audit_line *line, struct kl_buf *out)
{
    kl_buf_addf(out, "{\"seq\":%llu,\"entry\":", (unsigned long long)line->seq);
    kl_buf_add(out, line->entry.bytes, line->entry.size);
    kl_buf_add_text(out, "}\n");
}

static const char *member(const struct vault_audit_line *line, const char *key)
{
    return kl_json_text(kl_json_member(line->said->root, key));
}

static void add_known(struct kl_json_out *out, const char *key, const char *text)
{
    if (text != NULL) {
        kl_json_add_text(out, key, text);
    }
}

static const char *activity_name(const struct vault_audit_action *action)
{
    static const char *const of_api[] = {
        [VAULT_OCSF_API_CREATE] = "Create",
        [VAULT_OCSF_API_READ] = "Read",
        [VAULT_OCSF_API_UPDATE] = "Update",
        [VAULT_OCSF_API_DELETE] = "Delete",
    };
    static const char *const of_data[] = {
        [VAULT_OCSF_DATA_READ] = "Read",     [VAULT_OCSF_DATA_UPDATE] = "Update",
        [VAULT_OCSF_DATA_QUERY] = "Query",   [VAULT_OCSF_DATA_WRITE] = "Write",
        [VAULT_OCSF_DATA_CREATE] = "Create", [VAULT_OCSF_DATA_DELETE] = "Delete",
        [VAULT_OCSF_DATA_LIST] = "List",
    };

    if (action->ocsf_class == VAULT_OCSF_DATA) {
        return of_data[action->ocsf_activity];
    }
    return action->ocsf_activity == VAULT_OCSF_API_OTHER ? "Other" : of_api[action->ocsf_activity];
}

/* ---- what every event has ---- */

static void add_classes(const struct vault_audit_action *action, struct kl_json_out *out)
{
    kl_json_add_int(out, "category_uid", CATEGORY_UID);
    kl_json_add_text(out, "category_name", "Application Activity");
    kl_json_add_int(out, "class_uid", action->ocsf_class);
    kl_json_add_text(out, "class_name",
                     action->ocsf_class == VAULT_OCSF_DATA ? "Datastore Activity" : "API Activity");
    kl_json_add_int(out, "activity_id", action->ocsf_activity);
    kl_json_add_text(out, "activity_name", activity_name(action));
    kl_json_add_int(out, "type_uid",
                    (int64_t)action->ocsf_class * TYPE_FACTOR + (int64_t)action->ocsf_activity);
}

static void add_outcome(const struct vault_audit_line *line,
                        const struct vault_audit_action *action, struct kl_json_out *out)
{
    static const char *const severities[] = {[VAULT_AUDIT_INFO] = "Informational",
                                             [VAULT_AUDIT_LOW] = "Low",
                                             [VAULT_AUDIT_MEDIUM] = "Medium",
                                             [VAULT_AUDIT_HIGH] = "High",
                                             [VAULT_AUDIT_CRITICAL] = "Critical"};
    const struct vault_audit_said *said = line->said;
    enum vault_audit_weight weight = vault_audit_weight_of(action, said->refused);

    kl_json_add_int(out, "time", said->at_us / MICROSECONDS_OF_MILLISECOND);
    kl_json_add_int(out, "severity_id", weight);
    kl_json_add_text(out, "severity", severities[weight]);
    kl_json_add_int(out, "status_id", said->refused ? 2 : 1);
    kl_json_add_text(out, "status", said->refused ? "Failure" : "Success");
    add_known(out, "status_code", said->reason);
    kl_json_add_text(out, "message", action->title);
}

static void add_metadata(const struct vault_audit_line *line, struct kl_json_out *out)
{
    kl_json_key(out, "metadata");
    kl_json_object_begin(out);
    kl_json_add_text(out, "version", VAULT_OCSF_VERSION);
    kl_json_key(out, "product");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", "Kluis");
    kl_json_add_text(out, "vendor_name", "Kluis");
    kl_json_add_text(out, "version", KLUIS_VERSION);
    kl_json_object_end(out);
    add_known(out, "uid", member(line, "id"));
    kl_json_add_int(out, "sequence", (int64_t)line->seq);
    kl_json_add_text(out, "event_code", line->said->action);
    kl_json_add_text(out, "log_name", "audit");
    if (line->tenant_name[0] != '\0') {
        kl_json_add_text(out, "tenant_uid", line->tenant_name);
    }
    add_known(out, "correlation_uid", member(line, "request_id"));
    add_known(out, "original_time", member(line, "at"));
    kl_json_object_end(out);
}

static int user_type(const char *credential, const char *role)
{
    static const char *const admins[] = {"operator", "steward", "auditor"};

    if (credential == NULL) {
        return SYSTEM_ID;
    }
    for (size_t i = 0; role != NULL && i < sizeof admins / sizeof admins[0]; i++) {
        if (strcmp(role, admins[i]) == 0) {
            return ADMIN_ID;
        }
    }
    return USER_ID;
}

/* Who has no credential is the vault itself. */
static void add_actor(const struct vault_audit_line *line, struct kl_json_out *out)
{
    static const char *const types[] = {
        [USER_ID] = "User", [ADMIN_ID] = "Admin", [SYSTEM_ID] = "System"};
    const struct vault_audit_said *said = line->said;
    const char *uid = said->credential != NULL ? said->credential : "vault";
    int type = user_type(said->credential, said->role);

    kl_json_key(out, "actor");
    kl_json_object_begin(out);
    kl_json_key(out, "user");
    kl_json_object_begin(out);
    kl_json_add_text(out, "uid", uid);
    kl_json_add_int(out, "type_id", type);
    kl_json_add_text(out, "type", types[type]);
    if (said->role != NULL) {
        kl_json_key(out, "groups");
        kl_json_array_begin(out);
        kl_json_object_begin(out);
        kl_json_add_text(out, "name", said->role);
        kl_json_object_end(out);
        kl_json_array_end(out);
    }
    kl_json_object_end(out);
    kl_json_object_end(out);
    kl_json_key(out, "src_endpoint");
    kl_json_object_begin(out);
    kl_json_add_text(out, "uid", uid);
    if (said->location != NULL) {
        kl_json_key(out, "location");
        kl_json_object_begin(out);
        kl_json_add_text(out, "country", said->location);
        kl_json_object_end(out);
    }
    kl_json_object_end(out);
}

/* ---- what the classes have ---- */

static void add_database(const struct vault_audit_line *line, struct kl_json_out *out)
{
    kl_json_key(out, "database");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", line->tenant_name[0] != '\0' ? line->tenant_name : "vault");
    kl_json_add_int(out, "type_id", OTHER_ID);
    kl_json_add_text(out, "type", "Vault");
    kl_json_object_end(out);
}

static void add_api(const struct vault_audit_line *line, struct kl_json_out *out)
{
    const char *request = member(line, "request_id");

    kl_json_key(out, "api");
    kl_json_object_begin(out);
    kl_json_add_text(out, "operation", line->said->action);
    kl_json_key(out, "service");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", "kluisd");
    kl_json_object_end(out);
    if (request != NULL) {
        kl_json_key(out, "request");
        kl_json_object_begin(out);
        kl_json_add_text(out, "uid", request);
        kl_json_object_end(out);
    }
    kl_json_object_end(out);
}

/* The salt stays behind: it is for who has the entry's own bytes. */
static void add_unmapped(const struct vault_audit_line *line, struct kl_json_out *out)
{
    static const char *const mapped[] = {"id",   "at",         "salt",     "action", "credential",
                                         "role", "request_id", "location", "result", "reason"};
    struct kl_json_iter iter = kl_json_iter(line->said->root);
    const struct kl_json_value *value = NULL;
    const char *key = NULL;

    kl_json_key(out, "unmapped");
    kl_json_object_begin(out);
    while (kl_json_next(&iter, &key, &value)) {
        size_t i = 0;

        while (i < sizeof mapped / sizeof mapped[0] && strcmp(key, mapped[i]) != 0) {
            i++;
        }
        if (i == sizeof mapped / sizeof mapped[0]) {
            struct kl_buf text;

            kl_buf_init(&text, VAULT_STORE_VALUE_MAX_BYTES);
            kl_json_write_value(&text, value);
            kl_json_key(out, key);
            kl_json_put_raw(out, text.bytes, text.size);
            out->buf->failed = out->buf->failed || text.failed;
            kl_buf_done(&text);
        }
    }
    kl_json_object_end(out);
}

void vault_audit_form_ocsf(const struct vault_audit_line *line, struct kl_buf *out)
{
    const struct vault_audit_action action = vault_audit_action_of(line->said->action);
    struct kl_json_out json = kl_json_out(out);

    kl_json_object_begin(&json);
    add_classes(&action, &json);
    add_outcome(line, &action, &json);
    add_metadata(line, &json);
    add_actor(line, &json);
    if (action.ocsf_class == VAULT_OCSF_DATA) {
        add_database(line, &json);
    } else {
        add_api(line, &json);
    }
    add_unmapped(line, &json);
    kl_json_object_end(&json);
    kl_buf_add_byte(out, '\n');
}
