#include "cli/common.h"

static const struct cli_column statistics_columns[] = {
    {"PERIOD", "period"}, {"FIELD", "field"},   {"KEPT", "kept"},
    {"VALUE", "value"},   {"PEOPLE", "people"},
};

enum cli_exit cli_report_statistics(struct cli_call *call)
{
    static const char *const asked[] = {"field", "purpose", "from", "to", "ended"};
    struct cli_path path;

    cli_path_start(&path, "/v1/statistics");
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        cli_path_query(&path, asked[i], cli_call_value(call, asked[i]));
    }
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "statistics", statistics_columns,
                           sizeof statistics_columns / sizeof statistics_columns[0]);
}
