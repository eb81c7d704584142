/*
 * Answers for people (tables), for programs (JSON as it came, CSV).
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli/command.h"

/* A column: title, and where its value is in a row's JSON ("id", "policy.version"). An array is joined with commas, and a path leads through
 * it to each of its elements ("mirrors.state"). */
struct cli_column {
    const char *title;
    const char *member;
};
#define CLI_COLUMNS_MAX 16

/* The response's body as it came, and a newline. */
void cli_output_json(const struct cli_response *response);

/*
 * Rows of a JSON array (or one object as one row) in columns, as a table or CSV; with JSON the whole body is printed instead.
 * list: the member of the body that holds the array; NULL: the body itself is the one row.
 */
enum cli_exit cli_output_rows(struct cli_call *call, const struct cli_response *response,
                              const char *list, const struct cli_column *columns,
                              size_t column_count);

/* A table being filled cell by cell, for what is not one JSON array. */
struct cli_table;
struct cli_table *cli_table_new(enum cli_format format, const char *const *titles, size_t count);
void cli_table_row(struct cli_table *table, const char *const *cells);
void cli_table_print_free(struct cli_table *table);

/* Text of any JSON value for a cell (strings bare, others as JSON), appended. */
void cli_output_cell(struct kl_buf *out, const struct kl_json_value *value);

/* A bar on stderr, on a terminal only; fraction 0..1. cli_progress_end clears the line. */
void cli_progress_show(const char *what, double fraction);
void cli_progress_end(void);

#endif
