/* What is kept for statistics of those who were erased. */
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/statistics.h"

static void add_cell(struct kl_json_out *out, const struct vault_statistics_cell *cell)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "period", cell->period);
    kl_json_add_text(out, "field", cell->field);
    kl_json_add_text(out, "kept", cell->kept);
    kl_json_add_text(out, "value", cell->value);
    kl_json_add_int(out, "people", (int64_t)cell->people);
    kl_json_object_end(out);
}

API_HANDLER(api_statistics_read)
{
    struct vault_statistics_query query = {.field = api_request_query(request, "field"),
                                           .purpose = api_request_query(request, "purpose"),
                                           .from = api_request_query(request, "from"),
                                           .to = api_request_query(request, "to"),
                                           .ended = api_request_query(request, "ended"),
                                           .cursor = api_request_query(request, "cursor")};
    struct vault_statistics_cell *cells = NULL;
    size_t count = 0;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    enum kl_status status = api_request_limit(request, &query.limit, err);

    if (status == KL_OK) {
        status = vault_statistics_read(request->vault, &request->caller, &query, request->arena,
                                       &cells, &count, cursor, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "statistics");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        add_cell(&out, &cells[i]);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
    return KL_OK;
}
