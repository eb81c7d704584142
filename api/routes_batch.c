/*
 * Many operations in one request, in order, each with its own status. Reads that follow each other
 * are done together, so that their audit entries share one sync.
 */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"

#include <string.h>

#define REFERENCE_MAX_BYTES 128

/*
 * One batch on its way. Reads pile up until something else comes, or the end. work is emptied after
 * each operation, so that none goes without memory because of those before it.
 */
struct batch {
    struct api_request *request;
    struct kl_arena *work;
    struct kl_json_out out;
    size_t read_left_bytes; /* what the results of further reads may take */
    struct vault_read_input *reads;
    const char **references; /* of the reads */
    size_t read_count;
};

/* ---- results ---- */

/* What one operation answers at most that neither reads nor erases. */
#define OTHER_RESULT_MAX_BYTES 8192u

static void begin_result(struct batch *batch, const char *reference, int http_status)
{
    kl_json_object_begin(&batch->out);
    if (reference != NULL) {
        kl_json_add_text(&batch->out, "reference", reference);
    }
    kl_json_add_int(&batch->out, "status", http_status);
}

static void write_problem(struct batch *batch, const char *reference, const struct kl_err *err)
{
    api_request_log(batch->request, err);
    begin_result(batch, reference, api_problem_status(err));
    kl_json_key(&batch->out, "problem");
    api_problem_write(&batch->out, err, batch->request->request_id, NULL);
    kl_json_object_end(&batch->out);
}

/* ---- reads ---- */

static bool is_full(enum kl_status status, const struct kl_err *err)
{
    return status == KL_ERR_TOO_LARGE && strcmp(err->code, "batch_result_too_large") == 0;
}

static void write_reads(struct batch *batch, const struct vault_subject_result *results,
                        const enum kl_status *statuses, const struct kl_err *errs,
                        const struct kl_err *whole)
{
    size_t before;
    size_t bytes;

    for (size_t i = 0; i < batch->read_count; i++) {
        if (whole->status != KL_OK) {
            write_problem(batch, batch->references[i], whole);
        } else if (statuses[i] != KL_OK) {
            write_problem(batch, batch->references[i], &errs[i]);
        } else {
            before = batch->out.buf->size;
            begin_result(batch, batch->references[i], 200);
            kl_json_key(&batch->out, "result");
            api_output_subject(&batch->out, &results[i]);
            kl_json_object_end(&batch->out);
            bytes = batch->out.buf->size - before;
            batch->read_left_bytes -=
                bytes < batch->read_left_bytes ? bytes : batch->read_left_bytes;
        }
        if (whole->status == KL_OK && is_full(statuses[i], &errs[i])) {
            batch->read_left_bytes = 0;
        }
    }
}

/* Do the reads that wait. */
static enum kl_status flush_reads(struct batch *batch, struct kl_err *err)
{
    struct api_request *request = batch->request;
    size_t count = batch->read_count;
    struct vault_subject_result *results;
    enum kl_status *statuses;
    struct kl_err *errs;
    struct kl_err whole = {0};

    if (count == 0) {
        return KL_OK;
    }
    results = kl_arena_array(batch->work, count, sizeof *results);
    statuses = kl_arena_array(batch->work, count, sizeof *statuses);
    errs = kl_arena_array(batch->work, count, sizeof *errs);
    if (results == NULL || statuses == NULL || errs == NULL) {
        return kl_fail_memory(err);
    }
    if (vault_subject_read_many(request->vault, &request->caller, batch->reads, count,
                                batch->read_left_bytes, batch->work, results, statuses, errs,
                                &whole) == KL_OK) {
        kl_err_clear(&whole);
    }
    write_reads(batch, results, statuses, errs, &whole);
    batch->read_count = 0;
    kl_arena_reset(batch->work);
    return KL_OK;
}

static enum kl_status take_read(struct batch *batch, const struct kl_json_value *operation,
                                const char *reference, struct kl_err *err)
{
    static const char *const KNOWN[] = {"op",        "reference", "subject", "record", "purpose",
                                        "recipient", "ground",    "fields",  NULL};
    struct kl_arena *arena = batch->request->arena;
    struct vault_read_input input = {0};
    const char *ground = NULL;
    const struct kl_id *subject = NULL;
    enum kl_status status = kl_json_expect(operation, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_id(operation, "subject", "", "sub", true, arena, &subject, err)) !=
            KL_OK ||
        (status = api_input_id(operation, "record", "", "rec", false, arena, &input.record, err)) !=
            KL_OK ||
        (status = api_input_text(operation, "purpose", "", false, &input.purpose, err)) != KL_OK ||
        (status = api_input_text(operation, "recipient", "", false, &input.recipient, err)) !=
            KL_OK ||
        (status = api_input_text(operation, "ground", "", false, &ground, err)) != KL_OK ||
        (status = api_input_ground(ground, &input.ground, err)) != KL_OK ||
        (status = api_input_names(operation, "fields", "", VAULT_FIELDS_MAX, arena, &input.fields,
                                  &input.field_count, err)) != KL_OK) {
        return status;
    }
    input.subject = *subject;
    batch->reads[batch->read_count] = input;
    batch->references[batch->read_count] = reference;
    batch->read_count++;
    return KL_OK;
}

/* ---- the others ---- */

static enum kl_status do_create(struct batch *batch, const struct kl_json_value *operation,
                                size_t index, const char *reference, struct kl_err *err)
{
    static const char *const KNOWN[] = {"op", "reference", "residency", "records", NULL};
    struct api_request *request = batch->request;
    struct vault_subject_input input;
    struct vault_idempotency idempotency;
    struct vault_subject_result result = {0};
    unsigned char salt[4];
    enum kl_status status = api_input_subject(operation, "", KNOWN, batch->work, &input, err);

    kl_put_u32be(salt, (uint32_t)index);
    if (status == KL_OK) {
        status = api_request_idempotency(request, salt, sizeof salt, &idempotency, err);
    }
    if (status == KL_OK) {
        status = vault_subject_create(request->vault, &request->caller, &input, &idempotency,
                                      batch->work, &result, err);
    }
    if (status == KL_OK) {
        begin_result(batch, reference, 201);
        kl_json_key(&batch->out, "result");
        api_output_created(&batch->out, &result);
        kl_json_object_end(&batch->out);
    }
    return status;
}

static enum kl_status do_patch(struct batch *batch, const struct kl_json_value *operation,
                               const char *reference, struct kl_err *err)
{
    static const char *const KNOWN[] = {"op",      "reference", "subject", "record",
                                        "version", "fields",    NULL};
    struct api_request *request = batch->request;
    const struct kl_id *subject = NULL;
    const struct kl_id *record = NULL;
    const struct vault_field_input *fields = NULL;
    size_t count = 0;
    int64_t if_version = 0;
    uint64_t version = 0;
    const char *const *notify = NULL;
    size_t notify_count = 0;
    enum kl_status status = kl_json_expect(operation, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_id(operation, "subject", "", "sub", true, batch->work, &subject,
                               err)) != KL_OK ||
        (status = api_input_id(operation, "record", "", "rec", true, batch->work, &record, err)) !=
            KL_OK ||
        (status = api_input_int(operation, "version", "", 1, INT64_MAX, 0, &if_version, err)) !=
            KL_OK ||
        (status = api_input_patch_fields(operation, "", batch->work, &fields, &count, err)) !=
            KL_OK) {
        return status;
    }
    if (if_version == 0) {
        return kl_fail(err, KL_ERR_REQUIRED, "if_match_required",
                       "say which version you change: version, as you read it", NULL);
    }
    status = vault_record_rectify(request->vault, &request->caller, subject, record,
                                  (uint64_t)if_version, fields, count, batch->work, &version,
                                  &notify, &notify_count, err);
    if (status == KL_OK) {
        begin_result(batch, reference, 200);
        kl_json_key(&batch->out, "result");
        kl_json_object_begin(&batch->out);
        api_output_id(&batch->out, "id", "rec", record);
        kl_json_add_int(&batch->out, "version", (int64_t)version);
        api_output_notify(&batch->out, notify, notify_count);
        kl_json_object_end(&batch->out);
        kl_json_object_end(&batch->out);
    }
    return status;
}

/* Nothing is erased whose receipt might find no room: the reads that wait have theirs, and the small answers of all others. */
static enum kl_status receipt_room(const struct batch *batch, struct kl_err *err)
{
    size_t others = batch->read_left_bytes + VAULT_BATCH_MAX * OTHER_RESULT_MAX_BYTES;

    return batch->out.buf->size + others + VAULT_RECEIPT_ANSWER_MAX_BYTES > API_RESPONSE_MAX_BYTES
               ? kl_fail(err, KL_ERR_TOO_LARGE, "batch_result_too_large",
                         "the results of this batch are too large: ask for this one again", NULL)
               : KL_OK;
}

static enum kl_status do_erase(struct batch *batch, const struct kl_json_value *operation,
                               const char *reference, struct kl_err *err)
{
    static const char *const KNOWN[] = {"op", "reference", "subject", "record", "reason", NULL};
    struct api_request *request = batch->request;
    const struct kl_id *subject = NULL;
    const struct kl_id *record = NULL;
    const char *reason_text = NULL;
    enum vault_erase_reason reason;
    struct kl_buf receipt;
    enum kl_status status = kl_json_expect(operation, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_id(operation, "subject", "", "sub", true, batch->work, &subject,
                               err)) != KL_OK ||
        (status = api_input_id(operation, "record", "", "rec", false, batch->work, &record, err)) !=
            KL_OK ||
        (status = api_input_text(operation, "reason", "", false, &reason_text, err)) != KL_OK ||
        (status = api_input_reason(reason_text, &reason, err)) != KL_OK ||
        (status = receipt_room(batch, err)) != KL_OK) {
        return status;
    }
    kl_buf_init(&receipt, VAULT_RECEIPT_ANSWER_MAX_BYTES);
    status = record == NULL ? vault_subject_erase(request->vault, &request->caller, subject, reason,
                                                  &receipt, err)
                            : vault_record_erase(request->vault, &request->caller, subject, record,
                                                 reason, &receipt, err);
    if (status == KL_OK) {
        begin_result(batch, reference, 200);
        kl_json_key(&batch->out, "result");
        kl_json_put_raw(&batch->out, receipt.bytes, receipt.size);
        kl_json_object_end(&batch->out);
    }
    kl_buf_done(&receipt);
    return status;
}

/* ---- the batch ---- */

static enum kl_status do_one(struct batch *batch, const struct kl_json_value *operation,
                             size_t index, const char *op, const char *reference,
                             struct kl_err *err)
{
    if (strcmp(op, "create") == 0) {
        return do_create(batch, operation, index, reference, err);
    }
    if (strcmp(op, "patch") == 0) {
        return do_patch(batch, operation, reference, err);
    }
    if (strcmp(op, "erase") == 0) {
        return do_erase(batch, operation, reference, err);
    }
    enum kl_status status = kl_fail(err, KL_ERR_INVALID, "unknown_operation",
                                    "op is read, create, patch or erase", NULL);
    kl_err_where(err, "/op");
    return status;
}

/*
 * Take one operation; what is wrong with it becomes its result. Fails only when the batch as a
 * whole cannot go on.
 */
static enum kl_status take_operation(struct batch *batch, const struct kl_json_value *operation,
                                     size_t index, struct kl_err *err)
{
    struct kl_err why = {0};
    const char *op = NULL;
    const char *reference = NULL;
    enum kl_status status = api_input_text(operation, "op", "", true, &op, &why);

    if (status == KL_OK) {
        status = api_input_text(operation, "reference", "", false, &reference, &why);
    }
    if (status == KL_OK && reference != NULL && strlen(reference) > REFERENCE_MAX_BYTES) {
        status = kl_failf(&why, KL_ERR_INVALID, "invalid_value", "reference has at most %d bytes",
                          REFERENCE_MAX_BYTES);
        kl_err_where(&why, "/reference");
        reference = NULL;
    }
    if (status == KL_OK) { /* the request may, for the sake of erasures */
        status = vault_space_check(batch->request->vault, strcmp(op, "erase") == 0, &why);
    }
    if (status == KL_OK && strcmp(op, "read") == 0) {
        status = take_read(batch, operation, reference, &why);
        if (status == KL_OK) {
            return KL_OK;
        }
    }
    enum kl_status flushed = flush_reads(batch, err);
    if (flushed != KL_OK) {
        return flushed;
    }
    if (status == KL_OK) {
        status = do_one(batch, operation, index, op, reference, &why);
        kl_arena_reset(batch->work);
    }
    if (status != KL_OK) {
        write_problem(batch, reference, &why);
    }
    return kl_buf_status(batch->out.buf, err);
}

static enum kl_status take_operations(const struct kl_json_value *body,
                                      const struct kl_json_value **ret_operations,
                                      struct kl_err *err)
{
    static const char *const KNOWN[] = {"operations", NULL};
    const struct kl_json_value *operations = kl_json_member(body, "operations");
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status == KL_OK && kl_json_type(operations) != KL_JSON_ARRAY) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_type", "this must be an array", NULL);
    } else if (status == KL_OK && kl_json_count(operations) == 0) {
        status = kl_fail(err, KL_ERR_INVALID, "empty_value", "there are no operations", NULL);
    } else if (status == KL_OK && kl_json_count(operations) > VAULT_BATCH_MAX) {
        status = kl_failf(err, KL_ERR_TOO_LARGE, "too_many_operations",
                          "a batch has at most %d operations", VAULT_BATCH_MAX);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/operations");
        return status;
    }
    *ret_operations = operations;
    return KL_OK;
}

static enum kl_status run_batch(struct batch *batch, const struct kl_json_value *operations,
                                struct api_response *response, struct kl_err *err)
{
    struct kl_arena *arena = batch->request->arena;
    const struct kl_json_value *operation;
    size_t count = kl_json_count(operations);
    size_t index = 0;
    enum kl_status status = KL_OK;

    batch->reads = kl_arena_array(arena, count, sizeof *batch->reads);
    batch->references = kl_arena_array(arena, count, sizeof *batch->references);
    if (batch->reads == NULL || batch->references == NULL) {
        return kl_fail_memory(err);
    }
    batch->out = api_response_json(response, 200);
    kl_json_object_begin(&batch->out);
    kl_json_key(&batch->out, "results");
    kl_json_array_begin(&batch->out);
    struct kl_json_iter iter = kl_json_iter(operations);
    while (status == KL_OK && kl_json_next(&iter, NULL, &operation)) {
        status = take_operation(batch, operation, index++, err);
    }
    if (status == KL_OK) {
        status = flush_reads(batch, err);
    }
    if (status == KL_OK) {
        kl_json_array_end(&batch->out);
        kl_json_object_end(&batch->out);
    }
    return status;
}

API_HANDLER(api_batch)
{
    struct batch batch = {.request = request, .read_left_bytes = API_BATCH_RESULT_MAX_BYTES};
    const struct kl_json_value *operations = NULL;
    enum kl_status status = take_operations(api_request_json(request), &operations, err);

    if (status != KL_OK) {
        return status;
    }
    batch.work = kl_arena_new(API_ARENA_MAX_BYTES);
    status =
        batch.work == NULL ? kl_fail_memory(err) : run_batch(&batch, operations, response, err);
    kl_arena_free(batch.work);
    return status;
}
