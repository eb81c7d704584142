/* What leaked credentials did: as JSON, piece by piece, and as a page to the authority. */
#include "api/input.h"
#include "api/output.h"
#include "api/report_page.h"
#include "api/report_write.h"
#include "api/routes.h"
#include "kluis/vault/breach.h"

#include <string.h>

/* What of the body is not the vault's. */
struct breach_form {
    bool html;
    enum api_language language;
    bool is_aware; /* it says when the controller became aware */
};

/* "credential", or "credentials": one of them, or neither. */
static enum kl_status read_credentials(const struct api_request *request,
                                       const struct kl_json_value *body,
                                       struct vault_breach_input *ret, struct kl_err *err)
{
    const struct kl_id *one = NULL;
    const char *const *texts = NULL;
    struct kl_id *ids = NULL;
    size_t count = 0;
    size_t i;
    enum kl_status status =
        api_input_id(body, "credential", "", "cred", false, request->arena, &one, err);

    if (status == KL_OK) {
        status = api_input_names(body, "credentials", "", VAULT_BREACH_CREDENTIALS_MAX,
                                 request->arena, &texts, &count, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (one != NULL && texts != NULL) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_value",
                       "credential names one, credentials several: not both", NULL);
    }
    ret->credentials = one;
    ret->credential_count = one != NULL ? 1 : count;
    if (texts == NULL) {
        return KL_OK;
    }
    ids = kl_arena_array(request->arena, count, sizeof ids[0]);
    if (ids == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        status = kl_id_parse("cred", texts[i], &ids[i], err);
        if (status != KL_OK) {
            kl_err_where(err, "/credentials/%zu", i);
        }
    }
    ret->credentials = ids;
    return status;
}

static enum kl_status read_form(const struct kl_json_value *body, struct breach_form *ret,
                                struct kl_err *err)
{
    const char *format = NULL;
    const char *language = NULL;
    enum kl_status status = api_input_text(body, "format", "", false, &format, err);

    if (status == KL_OK) {
        status = api_input_text(body, "lang", "", false, &language, err);
    }
    if (status != KL_OK) {
        return status;
    }
    ret->html = format != NULL && strcmp(format, "html") == 0;
    ret->language = API_ENGLISH;
    ret->is_aware = kl_json_type(kl_json_member(body, "aware_at")) != KL_JSON_ABSENT;
    if (!ret->html && format != NULL && strcmp(format, "json") != 0) {
        kl_err_where(err, "/format");
        return kl_fail(err, KL_ERR_INVALID, "invalid_format", "a breach report is json or html",
                       NULL);
    }
    return api_language_read(language, &ret->language, err);
}

static enum kl_status read_input(const struct api_request *request, struct vault_breach_input *ret,
                                 struct breach_form *ret_form, struct kl_err *err)
{
    static const char *const KNOWN[] = {"credential", "credentials", "role",  "recipient",
                                        "from",       "to",          "limit", "aware_at",
                                        "cursor",     "format",      "lang",  NULL};
    const struct kl_json_value *body = api_request_json(request);
    int64_t limit = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK || (status = read_credentials(request, body, ret, err)) != KL_OK ||
        (status = api_input_text(body, "role", "", false, &ret->role, err)) != KL_OK ||
        (status = api_input_text(body, "recipient", "", false, &ret->recipient, err)) != KL_OK ||
        (status = api_input_time(body, "from", "", &ret->from_us, err)) != KL_OK ||
        (status = api_input_time(body, "to", "", &ret->to_us, err)) != KL_OK ||
        (status = api_input_time(body, "aware_at", "", &ret->aware_us, err)) != KL_OK ||
        (status = api_input_text(body, "cursor", "", false, &ret->cursor, err)) != KL_OK ||
        (status = api_input_int(body, "limit", "", 1, VAULT_PAGE_MAX, VAULT_PAGE_MAX, &limit,
                                err)) != KL_OK) {
        return status;
    }
    ret->limit = (size_t)limit;
    if (ret->credential_count == 0 && ret->role == NULL && ret->recipient == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "missing_key",
                       "one of credential, credentials, role and recipient is missing", NULL);
    }
    status = read_form(body, ret_form, err);
    ret->whole = status == KL_OK && ret_form->html;
    return status;
}

/* The page is made of the JSON, so that neither can say what the other does not. */
static enum kl_status write_page(const struct api_request *request,
                                 const struct vault_breach_input *input,
                                 const struct breach_form *form, struct api_response *response,
                                 struct kl_err *err)
{
    struct kl_json *report = NULL;
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, API_RESPONSE_MAX_BYTES);
    status = vault_breach_report(request->vault, &request->caller, input, &text, err);
    if (status == KL_OK) {
        status = kl_json_parse(text.bytes, text.size, &report, err);
    }
    if (status == KL_OK) {
        api_page_answer(response, "breach-notification.html");
        status = api_breach_html(kl_json_root(report), form->is_aware, form->language,
                                 &response->body, err);
    }
    kl_json_free(report);
    kl_buf_done(&text);
    return status;
}

API_HANDLER(api_report_breach)
{
    struct vault_breach_input input = {0};
    struct breach_form form = {0};
    enum kl_status status = read_input(request, &input, &form, err);

    if (status != KL_OK) {
        return status;
    }
    if (form.html) {
        return write_page(request, &input, &form, response, err);
    }
    (void)api_response_json(response, 200);
    return vault_breach_report(request->vault, &request->caller, &input, &response->body, err);
}
