/* Requests of data subjects, and their deadlines. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/base/time.h"
#include "kluis/vault/request.h"

#include <stdio.h>
#include <string.h>

/* ---- out ---- */

static void add_text_if(struct kl_json_out *out, const char *key, const char *text)
{
    if (text != NULL) {
        kl_json_add_text(out, key, text);
    }
}

static void add_time_if(struct kl_json_out *out, const char *key, int64_t time_us)
{
    if (time_us != 0) {
        kl_json_add_time(out, key, time_us);
    }
}

static void add_fee(struct kl_json_out *out, const struct vault_request_fee *fee)
{
    kl_json_key(out, "fee");
    kl_json_object_begin(out);
    kl_json_add_text(out, "amount", fee->amount);
    kl_json_add_text(out, "currency", fee->currency);
    kl_json_add_text(out, "reason", fee->reason);
    kl_json_object_end(out);
}

static void add_facts(struct kl_json_out *out, const struct vault_request *request)
{
    if (request->verified_us != 0) {
        kl_json_key(out, "verified");
        kl_json_object_begin(out);
        kl_json_add_time(out, "at", request->verified_us);
        kl_json_add_text(out, "method", request->method);
        add_text_if(out, "note", request->verified_note);
        kl_json_object_end(out);
    }
    if (request->extended_us != 0) {
        kl_json_key(out, "extended");
        kl_json_object_begin(out);
        kl_json_add_time(out, "at", request->extended_us);
        kl_json_add_text(out, "reason", request->reason);
        kl_json_add_time(out, "told_at", request->extended_told_us);
        kl_json_add_time(out, "first_due_at", request->first_due_us);
        add_text_if(out, "note", request->extended_note);
        kl_json_object_end(out);
    }
    if (request->closed_us != 0) {
        kl_json_key(out, "closed");
        kl_json_object_begin(out);
        kl_json_add_time(out, "at", request->closed_us);
        add_text_if(out, "outcome", request->outcome);
        add_text_if(out, "ground", request->ground);
        add_text_if(out, "reference", request->reference);
        add_time_if(out, "told_at", request->closed_told_us);
        add_text_if(out, "note", request->closed_note);
        if (request->fee.amount != NULL) {
            add_fee(out, &request->fee);
        }
        kl_json_object_end(out);
    }
}

void api_output_request(struct kl_json_out *out, const struct vault_request_result *result)
{
    static const struct kl_id nobody = {{0}};
    const struct vault_request *request = &result->request;

    api_output_id(out, "id", VAULT_REQUEST_PREFIX, &request->id);
    if (!kl_id_equal(&result->subject, &nobody)) {
        api_output_id(out, "subject", "sub", &result->subject);
    }
    kl_json_add_text(out, "right", request->right);
    kl_json_add_text(out, "state", vault_request_state_name(request->state));
    if (request->received_us == 0) {
        return;
    }
    kl_json_add_time(out, "received_at", request->received_us);
    add_time_if(out, "aim_at", request->aim_us);
    kl_json_add_time(out, "due_at", request->due_us);
    kl_json_add_bool(out, "overdue", result->overdue);
    add_text_if(out, "channel", request->channel);
    add_text_if(out, "note", request->note);
    add_facts(out, request);
}

/* receipt: of an erasure; answering: of what was made with a completion; each may be NULL. */
static void answer(struct api_response *response, int status,
                   const struct vault_request_result *result, const struct kl_buf *receipt,
                   const struct vault_answering *answering)
{
    struct kl_json_out out = api_response_json(response, status);

    kl_json_object_begin(&out);
    api_output_request(&out, result);
    if (receipt != NULL && receipt->size > 0) {
        kl_json_key(&out, "receipt");
        kl_json_put_raw(&out, receipt->bytes, receipt->size);
    }
    if (answering != NULL && answering->document->size > 0) {
        api_output_document(&out, answering);
    }
    kl_json_object_end(&out);
}

/* ---- make, read, list ---- */

API_HANDLER(api_request_create)
{
    static const char *const KNOWN[] = {"subject", "right", "received_at", "channel", "note", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_request_input input = {.right = NULL};
    struct vault_idempotency idempotency;
    struct vault_request_result result = {0};
    const struct kl_id *subject = NULL;
    char id[KL_ID_TEXT_BYTES];
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_id(body, "subject", "", "sub", true, request->arena, &subject, err)) !=
            KL_OK ||
        (status = api_input_text(body, "right", "", true, &input.right, err)) != KL_OK ||
        (status = api_input_time(body, "received_at", "", &input.received_us, err)) != KL_OK ||
        (status = api_input_text(body, "channel", "", false, &input.channel, err)) != KL_OK ||
        (status = api_input_text(body, "note", "", false, &input.note, err)) != KL_OK ||
        (status = api_request_idempotency(request, NULL, 0, &idempotency, err)) != KL_OK) {
        return status;
    }
    input.subject = *subject;
    status = vault_request_create(request->vault, &request->caller, &input, &idempotency,
                                  request->arena, &result, &response->replayed, err);
    if (status != KL_OK) {
        return status;
    }
    answer(response, 201, &result, NULL, NULL);
    kl_id_format(VAULT_REQUEST_PREFIX, &result.request.id, id);
    snprintf(response->location, sizeof response->location, "/v1/requests/%s", id);
    return KL_OK;
}

API_HANDLER(api_request_read)
{
    struct vault_request_result result = {0};
    enum kl_status status = vault_request_read(
        request->vault, &request->caller, &request->match.ids[0], request->arena, &result, err);

    if (status == KL_OK) {
        answer(response, 200, &result, NULL, NULL);
    }
    return status;
}

API_HANDLER(api_request_list)
{
    struct vault_request_filter filter = {.state = api_request_query(request, "state"),
                                          .cursor = api_request_query(request, "cursor")};
    struct vault_request_result *requests = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t count = 0;
    enum kl_status status = api_request_moment(request, "due_before", &filter.due_before_us, err);

    if (status == KL_OK) {
        status = api_request_limit(request, &filter.limit, err);
    }
    if (status == KL_OK) {
        status = vault_request_list(request->vault, &request->caller, &filter, request->arena,
                                    &requests, &count, cursor, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "requests");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        kl_json_object_begin(&out);
        api_output_request(&out, &requests[i]);
        kl_json_object_end(&out);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
    return KL_OK;
}

/* ---- steps ---- */

static enum kl_status read_fee(const struct kl_json_value *body, struct vault_request_fee *ret,
                               struct kl_err *err)
{
    static const char *const KNOWN[] = {"amount", "currency", "reason", NULL};
    const struct kl_json_value *fee = kl_json_member(body, "fee");
    enum kl_status status = KL_OK;

    if (kl_json_type(fee) == KL_JSON_ABSENT) {
        return KL_OK;
    }
    status = kl_json_expect(fee, KNOWN, "/fee", err);
    if (status == KL_OK) {
        status = api_input_text(fee, "amount", "/fee", true, &ret->amount, err);
    }
    if (status == KL_OK) {
        status = api_input_text(fee, "currency", "/fee", true, &ret->currency, err);
    }
    return status == KL_OK ? api_input_text(fee, "reason", "/fee", true, &ret->reason, err)
                           : status;
}

/* code: the member that says how; known: all that the body may have. */
static enum kl_status take(struct api_request *request, enum vault_request_step_kind kind,
                           const char *code, bool code_needed, const char *const *known,
                           struct api_response *response, struct kl_err *err)
{
    const struct kl_json_value *body = api_request_json(request);
    struct vault_request_step step = {.kind = kind};
    struct vault_request_result result = {0};
    struct vault_idempotency idempotency;
    struct vault_answering answering;
    struct api_form form;
    struct kl_buf document;
    struct kl_buf receipt;
    enum kl_status status = body == NULL ? KL_OK : kl_json_expect(body, known, "", err);

    if (body != NULL &&
        (status != KL_OK ||
         (status = api_input_text(body, code, "", code_needed, &step.code, err)) != KL_OK ||
         (status = api_input_time(body, "told_at", "", &step.told_us, err)) != KL_OK ||
         (status = api_input_text(body, "reference", "", false, &step.reference, err)) != KL_OK ||
         (status = api_input_text(body, "note", "", false, &step.note, err)) != KL_OK ||
         (status = read_fee(body, &step.fee, err)) != KL_OK)) {
        return status;
    }
    status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&document, VAULT_REPORT_MAX_BYTES);
    if (kind == VAULT_REQUEST_COMPLETE) {
        status = api_answering(body, &document, &form, &answering, err);
        step.answering = &answering;
    }
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&receipt, VAULT_RECEIPT_ANSWER_MAX_BYTES);
    status = vault_request_take(request->vault, &request->caller, &request->match.ids[0], &step,
                                &idempotency, request->arena, &result, &receipt,
                                &response->replayed, err);
    if (status == KL_OK) {
        answer(response, 200, &result, &receipt, step.answering);
    }
    kl_buf_done(&document);
    kl_buf_done(&receipt);
    return status;
}

API_HANDLER(api_request_verify)
{
    static const char *const KNOWN[] = {"method", "note", NULL};

    return take(request, VAULT_REQUEST_VERIFY, "method", true, KNOWN, response, err);
}

API_HANDLER(api_request_extend)
{
    static const char *const KNOWN[] = {"reason", "told_at", "note", NULL};

    return take(request, VAULT_REQUEST_EXTEND, "reason", true, KNOWN, response, err);
}

API_HANDLER(api_request_complete)
{
    static const char *const KNOWN[] = {"outcome", "reference", "told_at", "note",
                                        "fee",     "format",    "lang",    NULL};

    return take(request, VAULT_REQUEST_COMPLETE, "outcome", false, KNOWN, response, err);
}

API_HANDLER(api_request_reject)
{
    static const char *const KNOWN[] = {"ground", "told_at", "note", NULL};

    return take(request, VAULT_REQUEST_REJECT, "ground", true, KNOWN, response, err);
}
