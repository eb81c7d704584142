/* What the commands share: requests without much ado. */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "cli/command.h"
#include "cli/output.h"

#include <stdio.h>

/* GET path and print its rows (list: see cli_output_rows). */
enum cli_exit cli_common_show(struct cli_call *call, const struct cli_path *path, const char *list,
                              const struct cli_column *columns, size_t column_count);
/* Send a file or standard input as a body with an own Idempotency-Key on POST; the answer is printed in the columns. */
enum cli_exit cli_common_send_file(struct cli_call *call, const char *method,
                                   const struct cli_path *path, const char *file,
                                   const char *if_match, const struct cli_column *columns,
                                   size_t column_count);
/* Add --limit and --cursor of the call to a path. */
void cli_common_page(const struct cli_call *call, struct cli_path *path);
/* Print the receipt that an erasure, or a look at one, answered with. */
enum cli_exit cli_common_print_receipt(struct cli_call *call, const struct cli_response *response);
/*
 * Wait for a job: GET path_start/ID until its state is not "running", with a bar that says what. response is the answer that named it,
 * and the last one then. CLI_FAILED: the job failed, or its answer cannot be had.
 */
enum cli_exit cli_job_wait(struct cli_call *call, const char *path_start, const char *what,
                           struct cli_response *response);
/* GET path into the new file of --out, or to standard output, which may be no terminal. */
enum cli_exit cli_common_fetch(struct cli_call *call, const struct cli_path *path);
/* What was had already, likewise. */
enum cli_exit cli_common_put(struct cli_call *call, const struct kl_buf *bytes);
/*
 * A new file of mode 0600 that has its name only when it is complete. cli_out_close() ends it in every case: with a status that is not KL_OK there
 * is no file; it returns that status, or its own. call->err says why not.
 */
#define CLI_OUT_PATH_BYTES 4096
struct cli_out {
    const char *path;
    char part[CLI_OUT_PATH_BYTES];
    FILE *file;
};
enum kl_status cli_out_open(struct cli_call *call, const char *path, struct cli_out *ret);
enum kl_status cli_out_close(struct cli_call *call, struct cli_out *out, enum kl_status status);
/* A member from the file that the option of that name gives ("note", "reason"), when it is given; into an object that is open. */
enum kl_status cli_common_add_file(struct cli_call *call, const char *name,
                                   struct kl_json_out *out);
/*
 * A new passphrase, or a token's PIN, of a command with --passphrase-file: from that file, or from the terminal, a new one twice. ret (zeroed) is
 * the caller's to end; it stays empty when none is needed.
 */
enum kl_status cli_custodian_passphrase(struct cli_call *call, const char *custodian,
                                        struct kl_buf *ret);
/* The members "custodian", "country" and, unless it is empty, "passphrase"; into an object that is open. */
void cli_custodian_write(const char *custodian, const char *country,
                         const struct kl_buf *passphrase, struct kl_json_out *out);
/* A fresh Idempotency-Key. */
void cli_common_idempotency_key(char out[40]);

#endif
