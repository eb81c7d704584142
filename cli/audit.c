#include "cli/common.h"

enum cli_exit cli_audit_list(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"SEQ", "seq"},
                                                {"AT", "entry.at"},
                                                {"ACTION", "entry.action"},
                                                {"RESULT", "entry.result"},
                                                {"ROLE", "entry.role"},
                                                {"CREDENTIAL", "entry.credential"},
                                                {"PURPOSE", "entry.purpose"},
                                                {"SLOT", "entry.slot"},
                                                {"REQUEST", "entry.request_id"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/audit");
    cli_path_query(&path, "subject", cli_call_value(call, "subject"));
    cli_path_query(&path, "credential", cli_call_value(call, "credential-id"));
    cli_path_query(&path, "from", cli_call_value(call, "from"));
    cli_path_query(&path, "to", cli_call_value(call, "to"));
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "entries", columns, sizeof columns / sizeof columns[0]);
}

enum cli_exit cli_audit_head(struct cli_call *call)
{
    static const struct cli_column columns[] = {
        {"TENANT", "tenant"}, {"SIZE", "size"}, {"ROOT HASH", "root_hash"}, {"AT", "at"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/audit/head");
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

enum cli_exit cli_receipt_show(struct cli_call *call)
{
    struct cli_path path;
    struct cli_response response;
    cli_path_start(&path, "/v1/erasures");
    cli_path_segment(&path, call->arguments[0]);
    if (cli_call_send(call, "GET", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_common_print_receipt(call, &response);
    cli_response_done(&response);
    return result;
}
