/* Doctor, for a vault with several stores: main and the machine, then each of the others, as the list beside main's keys has them. */
#include "vault/doctor.h"
#include "vault/open.h"
#include "vault/stores_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The list of a vault that may be in use elsewhere. */
static enum kl_status list_read(const struct vault_options *options, struct vault_store_row **ret,
                                size_t *ret_count, struct kl_err *err)
{
    struct vault *vault = vault_new(options);
    enum kl_status status = KL_OK;

    if (vault == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_keys_open(vault, options, false, err);
    if (status == KL_OK) {
        status = vault_store_rows_read(vault, ret, ret_count, err);
    }
    vault_close(vault);
    return status;
}

static void say_no_list(const struct kl_err *err, struct vault_report *report)
{
    if (err->status == KL_ERR_BUSY) {
        vault_check(report, "stores", VAULT_CHECK_WARNING,
                    "another process has the keys open, so other stores were not looked at here",
                    "ask the running server: kluis store list, GET /readyz");
    } else if (strcmp(err->code, "store_list_damaged") == 0) {
        vault_check(report, "stores", VAULT_CHECK_FAILED, err->client_text,
                    "no server starts like this, as nobody can say whose tenants lie where");
    } /* else the checks of the databases have said it */
}

static void check_other(const struct vault_stores_options *options,
                        const struct vault_store_row *row, struct vault_report *report)
{
    struct vault_options store = options->main;
    struct kl_secret *secret = NULL;
    struct kl_err err = {0};
    char text[KL_ERR_TEXT_BYTES + VAULT_STORE_DIRECTORY_MAX_BYTES];

    (void)snprintf(text, sizeof text, "%s, in %s", row->country.code, row->directory);
    if (!row->whole) {
        vault_check(
            report, "store", VAULT_CHECK_WARNING, text,
            "it was being made and may be cut short: when it is not open after the next start, remove its "
            "directory and its root file, and add it again");
        return;
    }
    vault_check(report, "store", VAULT_CHECK_OK, text, "");
    store.data_dir = row->directory;
    store.country = row->country.code;
    store.custodian = row->custodian;
    store.passphrase = NULL;
    store.passphrase_bytes = 0;
    if (options->secret != NULL &&
        options->secret(options->secret_context, row->name, row->custodian, &secret,
                        &store.passphrase_bytes, &err) != KL_OK) {
        vault_check(report, "passphrase", VAULT_CHECK_FAILED, err.client_text,
                    "without it this store stays away");
    }
    store.passphrase = secret == NULL ? NULL : (const char *)kl_secret_peek(secret);
    vault_check_space(&store, report);
    vault_check_store(&store, report);
    if (row->next[0] != '\0') {
        vault_check(
            report, "custodian", VAULT_CHECK_WARNING,
            "a change of custodian did not come to its end: the root key lies at the old place or the new one",
            "the next start finds out");
    }
    kl_secret_free(secret);
}

enum kl_status vault_stores_doctor(const struct vault_stores_options *options, struct kl_buf *ret,
                                   struct kl_err *err)
{
    struct vault_report report;
    struct vault_store_row *rows = NULL;
    struct kl_err cause = {0};
    size_t count = 0;
    size_t i;
    enum kl_status status = vault_options_check(&options->main, err);

    if (status != KL_OK) {
        return status;
    }
    vault_report_begin(&report, ret);
    vault_check_store(&options->main, &report);
    vault_check_space(&options->main, &report);
    vault_check_machine(&report);
    if (list_read(&options->main, &rows, &count, &cause) != KL_OK) {
        say_no_list(&cause, &report);
    }
    for (i = 0; i < count; i++) {
        report.store = rows[i].name;
        check_other(options, &rows[i], &report);
    }
    free(rows);
    vault_report_end(&report);
    return kl_buf_status(ret, err);
}
