/* A report or an export made to complete a request: rendered, hashed, in the trail, and named by what it is. */
#include "vault/report_internal.h"

#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define FORM_DEFAULT "json"
#define REFERENCE_BYTES 128

static enum kl_status render(struct vault_dossier *dossier, const struct kl_id *subject,
                             bool access, const struct vault_answering *answering,
                             struct kl_err *err)
{
    struct vault_report report;
    struct vault_told told;
    enum kl_status status = access ? vault_report_open(dossier, subject, NULL, &report, err)
                                   : vault_export_open(dossier, subject, NULL, &told, err);

    if (status == KL_OK) {
        status =
            access ? answering->render_report(answering->context, &report, answering->document, err)
                   : answering->render_export(answering->context, &told, answering->document, err);
    }
    return status == KL_OK ? kl_buf_status(answering->document, err) : status;
}

/* "access_report/html.nl/sha256:..." */
static enum kl_status name_it(bool access, const struct vault_answering *answering,
                              struct kl_arena *arena, const char **ret, struct kl_err *err)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];
    char text[REFERENCE_BYTES];
    int written;

    crypto_hash_sha256(hash, answering->document->bytes, answering->document->size);
    kl_hex(hash, sizeof hash, hex);
    written = snprintf(text, sizeof text, "%s/%s/sha256:%s", access ? "access_report" : "export",
                       answering->form == NULL ? FORM_DEFAULT : answering->form, hex);
    *ret = kl_arena_text(arena, text, (size_t)written);
    return *ret == NULL ? kl_fail_memory(err) : KL_OK;
}

enum kl_status vault_answer_make(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *subject, bool access,
                                 const struct vault_answering *answering, struct kl_arena *arena,
                                 const char **ret_reference, struct kl_err *err)
{
    struct vault_dossier dossier = {.vault = vault, .caller = caller, .arena = arena};
    const char *reference = NULL;
    enum kl_status status = render(&dossier, subject, access, answering, err);

    if (status == KL_OK) {
        status = name_it(access, answering, arena, &reference, err);
    }
    if (status == KL_OK) {
        status = vault_dossier_commit(&dossier, err);
    }
    vault_dossier_done(&dossier);
    status = vault_dossier_ended(&dossier, status, err);
    if (status == KL_OK) {
        *ret_reference = reference;
    } else {
        kl_buf_clear(answering->document);
    }
    return status;
}
