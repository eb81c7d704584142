#include "cli/output.h"

#include "kluis/base/csv.h"

#include <assert.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL_MAX_BYTES (1024 * 1024)
/* Of CSV, where a cell may become twice as long. */
#define ROW_MAX_BYTES ((size_t)64 * CELL_MAX_BYTES)
#define BAR_WIDTH 40

struct cli_table {
    struct libscols_table *columns; /* NULL: CSV */
    size_t count;
};

void cli_output_json(const struct cli_response *response)
{
    (void)fwrite(response->body.bytes, 1, response->body.size, stdout);
    if (response->body.size == 0 || response->body.bytes[response->body.size - 1] != '\n')
        (void)fputc('\n', stdout);
}

static void csv_row(const char *const *cells, size_t count)
{
    struct kl_buf row;

    kl_buf_init(&row, ROW_MAX_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            kl_buf_add_text(&row, ",");
        kl_csv_put(&row, kl_slice_text(cells[i] != NULL ? cells[i] : ""));
    }
    kl_buf_add_text(&row, "\r\n");
    (void)fwrite(row.bytes, 1, row.size, stdout);
    kl_buf_done(&row);
}

struct cli_table *cli_table_new(enum cli_format format, const char *const *titles, size_t count)
{
    struct cli_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->count = count;
    if (format == CLI_FORMAT_CSV) {
        csv_row(titles, count);
        return table;
    }
    scols_init_debug(0);
    table->columns = scols_new_table();
    if (table->columns == NULL) {
        free(table);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        (void)scols_table_new_column(table->columns, titles[i], 0,
                                     i + 1 == count && isatty(STDOUT_FILENO) ? SCOLS_FL_WRAP : 0);
    return table;
}

void cli_table_row(struct cli_table *table, const char *const *cells)
{
    if (table == NULL)
        return;
    if (table->columns == NULL) {
        csv_row(cells, table->count);
        return;
    }
    struct libscols_line *line = scols_table_new_line(table->columns, NULL);
    for (size_t i = 0; line != NULL && i < table->count; i++)
        (void)scols_line_set_data(line, i, cells[i] != NULL ? cells[i] : "");
}

void cli_table_print_free(struct cli_table *table)
{
    if (table == NULL)
        return;
    if (table->columns != NULL) {
        (void)scols_print_table(table->columns);
        scols_unref_table(table->columns);
    }
    free(table);
}

void cli_output_cell(struct kl_buf *out, const struct kl_json_value *value)
{
    const struct kl_json_value *item = NULL;
    switch (kl_json_type(value)) {
    case KL_JSON_ABSENT:
    case KL_JSON_NULL:
        break;
    case KL_JSON_TEXT:
        kl_buf_add(out, kl_json_text(value), kl_json_text_bytes(value));
        break;
    case KL_JSON_ARRAY:
        for (struct kl_json_iter iter = kl_json_iter(value); kl_json_next(&iter, NULL, &item);) {
            if (out->size > 0)
                kl_buf_add_text(out, ", ");
            cli_output_cell(out, item);
        }
        break;
    default:
        kl_json_write_value(out, value);
    }
}

/* A member by a dotted path ("": the value itself), nothing when any step is absent; through an array, that of each element. */
static void add_member(struct kl_buf *out, const struct kl_json_value *value, const char *path)
{
    char name[64];
    const struct kl_json_value *item = NULL;
    if (path[0] == '\0') {
        cli_output_cell(out, value);
        return;
    }
    if (kl_json_type(value) == KL_JSON_ARRAY) {
        for (struct kl_json_iter iter = kl_json_iter(value); kl_json_next(&iter, NULL, &item);) {
            if (out->size > 0)
                kl_buf_add_text(out, ", ");
            add_member(out, item, path);
        }
        return;
    }
    size_t size = strcspn(path, ".");
    if (size >= sizeof name)
        return;
    memcpy(name, path, size);
    name[size] = '\0';
    add_member(out, kl_json_member(value, name), path + size + (path[size] == '.' ? 1 : 0));
}

static void print_row(struct cli_table *table, const struct kl_json_value *row,
                      const struct cli_column *columns, size_t count)
{
    struct kl_buf cells[CLI_COLUMNS_MAX];
    const char *texts[CLI_COLUMNS_MAX] = {NULL};
    for (size_t i = 0; i < count; i++) {
        kl_buf_init(&cells[i], CELL_MAX_BYTES);
        add_member(&cells[i], row, columns[i].member);
        texts[i] = cells[i].bytes != NULL ? (const char *)cells[i].bytes : "";
    }
    cli_table_row(table, texts);
    for (size_t i = 0; i < count; i++)
        kl_buf_done(&cells[i]);
}

enum cli_exit cli_output_rows(struct cli_call *call, const struct cli_response *response,
                              const char *list, const struct cli_column *columns,
                              size_t column_count)
{
    if (call->format == CLI_FORMAT_JSON) {
        cli_output_json(response);
        return CLI_DONE;
    }
    struct kl_json *json = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return CLI_FAILED;

    const char *titles[CLI_COLUMNS_MAX];
    assert(column_count <= CLI_COLUMNS_MAX);
    for (size_t i = 0; i < column_count; i++)
        titles[i] = columns[i].title;
    struct cli_table *table = cli_table_new(call->format, titles, column_count);
    const struct kl_json_value *root = kl_json_root(json);
    if (list == NULL) {
        print_row(table, root, columns, column_count);
    } else {
        const struct kl_json_value *row = NULL;
        for (struct kl_json_iter iter = kl_json_iter(kl_json_member(root, list));
             kl_json_next(&iter, NULL, &row);)
            print_row(table, row, columns, column_count);
    }
    cli_table_print_free(table);
    const char *next = kl_json_text(kl_json_member(root, "next_cursor"));
    if (next != NULL && next[0] != '\0' && !call->quiet)
        (void)fprintf(stderr, "more: add --cursor %s\n", next);
    kl_json_free(json);
    return CLI_DONE;
}

void cli_progress_show(const char *what, double fraction)
{
    if (!isatty(STDERR_FILENO))
        return;
    int filled = (int)(fraction * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r%s [%s] %3d %%", what, bar, (int)(fraction * 100));
    (void)fflush(stderr);
}

void cli_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        (void)fputs("\r\033[K", stderr);
}
