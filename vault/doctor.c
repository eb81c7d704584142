/* What is wrong with a vault and its machine, and what to do. Looks first at files, then opens what it can. */
#include "vault/doctor.h"
#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "vault/audit_check.h"
#include "vault/open.h"
#include "vault/place.h"
#include "vault/restore.h"
#include "vault/tenants.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUDIT_ADVICE \
    "keep this disk as it is for whoever looks into it, and compare heads that were kept outside: kluis audit verify --from"

void vault_check(struct vault_report *report, const char *name, enum vault_check_state state,
                 const char *text, const char *advice)
{
    static const char *const names[] = {"ok", "warning", "failed"};
    struct kl_json_out *out = &report->out;

    kl_json_object_begin(out);
    if (report->store != NULL) {
        kl_json_add_text(out, "store", report->store);
    }
    kl_json_add_text(out, "name", name);
    kl_json_add_text(out, "state", names[state]);
    kl_json_add_text(out, "text", text);
    kl_json_add_text(out, "advice", advice);
    kl_json_object_end(out);
}

/* ---- files ---- */

static bool check_stamp(const struct vault_options *options, struct vault_stamp *ret_stamp,
                        struct vault_report *report)
{
    char text[128];
    struct kl_err err = {0};

    if (vault_stamp_read(options->data_dir, ret_stamp, &err) != KL_OK) {
        vault_check(report, "stamp", VAULT_CHECK_FAILED, err.client_text,
                    "make a vault with kluisd init, or name its directory with --data");
        return false;
    }
    (void)snprintf(text, sizeof text, "format %d, made by version %s", VAULT_STAMP_FORMAT,
                   ret_stamp->software);
    vault_check(report, "stamp", VAULT_CHECK_OK, text, "");
    return true;
}

static bool check_country(const struct vault_options *options, const struct vault_stamp *stamp,
                          struct vault_report *report)
{
    char text[160];
    struct kl_err err = {0};

    if (vault_country_check(stamp, options->country, &err) != KL_OK) {
        vault_check(report, "country", VAULT_CHECK_FAILED, err.client_text,
                    "set the country the data directory was made in");
        return false;
    }
    (void)snprintf(text, sizeof text, "%s, %s", stamp->country.code,
                   vault_country_in_eea(stamp->country)
                       ? "in the EEA"
                       : "outside the EEA: subjects tagged EEA are refused");
    vault_check(report, "country", VAULT_CHECK_OK, text, "");
    return true;
}

/* Nobody but its owner may come in; and the owner is whoever runs this. */
static void check_mode(const char *path, const char *name, const char *advice,
                       struct vault_report *report)
{
    struct stat info;
    char text[160];

    if (stat(path, &info) != 0) {
        (void)snprintf(text, sizeof text, "cannot look: %s", strerror(errno));
        vault_check(report, name, VAULT_CHECK_FAILED, text,
                    "check the path and the user that runs this");
        return;
    }
    (void)snprintf(text, sizeof text, "mode %04o, user %lu", (unsigned)(info.st_mode & 07777),
                   (unsigned long)info.st_uid);
    if ((info.st_mode & 0077) != 0) {
        vault_check(report, name, VAULT_CHECK_FAILED, text, advice);
    } else if (info.st_uid != geteuid()) {
        vault_check(report, name, VAULT_CHECK_WARNING, text,
                    "run this as the user that the vault runs as");
    } else {
        vault_check(report, name, VAULT_CHECK_OK, text, "");
    }
}

/* The root key is wrapped by a PKCS#11 token, and there is no root file. */
static bool on_token(const struct vault_options *options)
{
    return strncmp(options->custodian, "pkcs11:", 7) == 0;
}

static bool needs_passphrase(const struct vault_options *options)
{
    return on_token(options) ? strstr(options->custodian, "pin-source=") == NULL
                             : strncmp(options->custodian, "passphrase:", 11) == 0;
}

static void check_root_file(const struct vault_options *options, struct vault_report *report)
{
    const struct kms_custodian_options custodian = vault_custodian_options(options);
    enum vault_check_state finality = VAULT_CHECK_OK;
    struct kms_custodian_report seen;
    struct kl_err err = {0};
    char text[400];

    if (kms_custodian_report(&custodian, &seen, &err) != KL_OK) {
        vault_check(report, "root_file", VAULT_CHECK_FAILED, err.client_text,
                    "name the root file, or token, that belongs to this vault with --custodian");
        return;
    }
    (void)snprintf(text, sizeof text, "%s custodian on %s: %s", seen.kind, seen.file_system,
                   seen.reason);
    vault_check(report, "root_file", VAULT_CHECK_OK, text, "");
    (void)snprintf(text, sizeof text, "%s: %s", kms_finality_name(seen.finality), seen.reason);
    if (seen.finality == KMS_FINALITY_F0) {
        finality = options->accept_f0 ? VAULT_CHECK_WARNING : VAULT_CHECK_FAILED;
    }
    vault_check(report, "finality", finality, text, seen.advice);
    if (!on_token(options)) {
        vault_check_disk("root_disk", "root file", strchr(options->custodian, ':') + 1, report);
    }
    if (on_token(options)) {
        vault_check(
            report, "snapshots", VAULT_CHECK_WARNING,
            "nobody can see from here whether the token's keys are backed up",
            "keep no backup of the token: its keys from before an erasure, with old data, undo that erasure");
        return;
    }
    vault_check(
        report, "snapshots", VAULT_CHECK_WARNING,
        "nobody can see from here whether the volume of the root file is snapshotted or copied",
        "keep the root file's volume out of every snapshot, backup and live migration copy: a copy of its slot from before an "
        "erasure, with old data, undoes that erasure");
}

/* ---- what is inside ---- */

static void check_generation(struct vault *vault, struct vault_report *report)
{
    struct kms_state state;
    char text[160];

    kms_state(vault->keys, &state);
    (void)snprintf(text, sizeof text, "generation %llu in the key store and in the root file",
                   (unsigned long long)state.generation);
    vault_check(report, "keys", VAULT_CHECK_OK, text, "");
}

static void check_mirror(const struct kms_mirror_info *info, bool accept_f0,
                         struct vault_report *report)
{
    enum vault_check_state state = VAULT_CHECK_OK;
    char text[1600];
    char what[KMS_MIRROR_DIR_MAX_BYTES + 32];

    if (info->state != KMS_MIRROR_IN_STEP) {
        (void)snprintf(text, sizeof text, "%s (%s): out of step: %s", info->dir, info->label,
                       info->reason);
        vault_check(
            report, "mirror", VAULT_CHECK_WARNING, text,
            "make its folder reachable; if it is lost for good: kluisd mirror drop, with --destroyed when you answer for its destruction");
        return;
    }
    if (info->report.file_system[0] == '\0') {
        (void)snprintf(text, sizeof text,
                       "%s (%s): in step, generation %llu; a token keeps its root key", info->dir,
                       info->label, (unsigned long long)info->generation);
        vault_check(report, "mirror", VAULT_CHECK_OK, text, "");
        return;
    }
    if (info->report.finality == KMS_FINALITY_F0) {
        state = accept_f0 ? VAULT_CHECK_WARNING : VAULT_CHECK_FAILED;
    }
    (void)snprintf(text, sizeof text, "%s (%s): in step, generation %llu; %s: %s", info->dir,
                   info->label, (unsigned long long)info->generation,
                   kms_finality_name(info->report.finality), info->report.reason);
    vault_check(report, "mirror", state, text, info->report.advice);
    (void)snprintf(what, sizeof what, "mirror %s", info->dir);
    vault_check_disk("mirror_disk", what, info->dir, report);
}

static void check_mirrors(struct vault *vault, struct vault_report *report)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    char country[8];
    char text[128];
    size_t misplaced = vault_copies_misplaced(vault, kl_time_now_us(), country);
    size_t count = 0;
    size_t i;

    if (misplaced > 0) {
        (void)snprintf(
            text, sizeof text,
            "%zu of them in countries where the policies in force do not let them lie (%s)",
            misplaced, country);
        vault_check(
            report, "mirror_country", VAULT_CHECK_WARNING, text,
            "kluis key mirror drop, or name a transfer to it for all purposes in every policy");
    }
    kms_mirrors(vault->keys, infos, &count);
    for (i = 0; i < count; i++) {
        check_mirror(&infos[i], vault->accept_f0, report);
    }
    if (count == 0) {
        vault_check(
            report, "mirrors", VAULT_CHECK_WARNING,
            "there is none: when this disk is lost, every backup is noise",
            "kluisd mirror add DIR,country=IE, or kluis key mirror add: on another disk, never in a backup");
    }
}

static void check_policies(struct vault *vault, struct vault_report *report)
{
    struct vault_readiness readiness;

    vault_readiness(vault, &readiness);
    vault_check(report, "policies", readiness.ready ? VAULT_CHECK_OK : VAULT_CHECK_FAILED,
                readiness.ready ? "all stored policies compile" : readiness.reason,
                readiness.ready ? ""
                                : "apply a policy that this version accepts (kluis policy apply)");
}

static void check_restore(struct vault *vault, struct vault_report *report)
{
    bool pending = false;

    if (vault_restore_pending(vault->keys, &pending, NULL) == KL_OK && pending) {
        vault_check(
            report, "restore", VAULT_CHECK_WARNING,
            "a restore is unfinished: people whom the backup does not know are set aside, so nobody can be asked to erase them",
            "put a newer backup back, or end it: kluisd restore --finish");
    }
}

/* ---- the trails ---- */

static void check_trail(struct vault *vault, uint64_t tenant, const char *name,
                        struct vault_report *report)
{
    struct kl_trail_findings *findings = calloc(1, sizeof *findings);
    struct kl_err err = {0};
    char text[640];
    uint64_t size = 0;

    if (findings == NULL) {
        (void)kl_fail_memory(&err);
    }
    if (findings == NULL || vault_audit_check(vault, tenant, findings, &size, &err) != KL_OK) {
        (void)snprintf(text, sizeof text, "trail of %s: %s", name, err.client_text);
        vault_check(report, "audit", VAULT_CHECK_FAILED, text, AUDIT_ADVICE);
    } else if (findings->count == 0) {
        (void)snprintf(text, sizeof text, "trail of %s: all %llu entries are as they were", name,
                       (unsigned long long)size);
        vault_check(report, "audit", VAULT_CHECK_OK, text, "");
    }
    for (size_t i = 0; findings != NULL && i < findings->count && i < KL_TRAIL_FINDINGS_MAX; i++) {
        const struct kl_trail_finding *finding = &findings->items[i];

        (void)snprintf(text, sizeof text, "trail of %s: %s, entries %llu to %llu: %s", name,
                       finding->code, (unsigned long long)finding->from,
                       (unsigned long long)finding->until, finding->detail);
        vault_check(report, "audit", VAULT_CHECK_FAILED, text, AUDIT_ADVICE);
    }
    free(findings);
}

static void check_trails(struct vault *vault, struct vault_report *report)
{
    check_trail(vault, KMS_TENANT_VAULT, "the vault", report);
    for (size_t i = 0; i < vault->tenants.count; i++) {
        check_trail(vault, vault->tenants.items[i]->number, vault->tenants.items[i]->name, report);
    }
}

static void say_not_opened(const struct kl_err *err, struct vault_report *report)
{
    if (err->status == KL_ERR_BUSY) {
        vault_check(report, "databases", VAULT_CHECK_WARNING,
                    "another process has them open, so policies and keys were not looked at here",
                    "ask the running server: GET /readyz, kluis status, kluis key status");
    } else {
        vault_check(report, "databases", VAULT_CHECK_FAILED,
                    err->client_text[0] != '\0' ? err->client_text : err->code,
                    "the vault does not open like this");
    }
}

static void check_databases(const struct vault_options *options, const struct vault_stamp *stamp,
                            struct vault_report *report)
{
    enum kl_status status = KL_OK;
    struct kl_err err = {0};
    struct vault *vault = NULL;

    if (options->passphrase == NULL && needs_passphrase(options)) {
        vault_check(report, "databases", VAULT_CHECK_WARNING,
                    "no passphrase or PIN was given, so policies and keys were not looked at",
                    "give the passphrase or PIN to look further");
        return;
    }
    vault = vault_new(options);
    if (vault == NULL) {
        status = kl_fail(&err, KL_ERR_NO_MEMORY, "no_memory", "not enough memory", NULL);
    }
    if (status == KL_OK) {
        vault->country = stamp->country;
        status = vault_keys_open(vault, options, false, &err);
    }
    if (status == KL_OK) {
        status = vault_data_open(vault, options, false, &err);
    }
    if (status == KL_OK) {
        status = vault_parts_check(vault, stamp, &err);
    }
    if (status == KL_OK) {
        status = vault_tenants_load(vault, &err);
    }
    if (status == KL_OK) {
        vault_check(report, "databases", VAULT_CHECK_OK, "keys/ and data/ open", "");
        check_generation(vault, report);
        check_mirrors(vault, report);
        check_policies(vault, report);
        check_restore(vault, report);
        if (options->check_audit) {
            check_trails(vault, report);
        }
    } else {
        say_not_opened(&err, report);
    }
    vault_close(vault);
}

void vault_report_begin(struct vault_report *report, struct kl_buf *ret)
{
    report->out = kl_json_out(ret);
    report->store = NULL;
    kl_json_object_begin(&report->out);
    kl_json_key(&report->out, "checks");
    kl_json_array_begin(&report->out);
}

void vault_report_end(struct vault_report *report)
{
    kl_json_array_end(&report->out);
    kl_json_object_end(&report->out);
}

void vault_check_store(const struct vault_options *options, struct vault_report *report)
{
    struct vault_stamp stamp = {0};
    const char *root_file = strchr(options->custodian, ':');
    bool good = check_stamp(options, &stamp, report);

    check_mode(options->data_dir, "data_dir", "chmod 0700 the data directory", report);
    if (good) {
        good = check_country(options, &stamp, report);
    }
    if (root_file != NULL && !on_token(options)) {
        check_mode(root_file + 1, "root_file_mode", "chmod 0600 the root file", report);
    }
    check_root_file(options, report);
    if (good) {
        check_databases(options, &stamp, report);
    }
}

enum kl_status vault_doctor(const struct vault_options *options, struct kl_buf *ret,
                            struct kl_err *err)
{
    struct vault_report report;
    enum kl_status status = vault_options_check(options, err);

    if (status != KL_OK) {
        return status;
    }
    vault_report_begin(&report, ret);
    vault_check_store(options, &report);
    vault_check_space(options, &report);
    vault_check_machine(&report);
    vault_report_end(&report);
    return kl_buf_status(ret, err);
}
