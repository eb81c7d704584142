/*
 * The commands of `kluis`: one table from which parsing, help, man page and
 * completion are made.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/client.h"
#include "cli/profile.h"
#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define CLI_ARGUMENTS_MAX 32
#define CLI_OPTIONS_MAX 16
#define CLI_INPUT_MAX_BYTES (8 * 1024 * 1024)

/* Exit statuses: done; refused or failed; called wrongly. */
enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };
enum cli_format { CLI_FORMAT_TABLE, CLI_FORMAT_JSON, CLI_FORMAT_CSV };

/* value_name NULL: a switch. A list of options ends with a NULL name. */
struct cli_option {
    const char *name;
    const char *value_name;
    const char *help;
};

struct cli_call;

/*
 * One command. arguments: their names as help shows them ("SUBJECT [FILE]"), NULL for none. run returns CLI_DONE, or CLI_FAILED or
 * CLI_USAGE with call->err filled or the reason printed.
 */
struct cli_command {
    const char *noun;
    const char
        *verb; /* may be two words ("mirror add"); NULL: the noun is the whole command ("status") */
    const char *arguments;
    int arguments_min;
    int arguments_max;
    const char *summary;
    const struct cli_option *options; /* NULL: none of its own */
    enum cli_exit (*run)(struct cli_call *call);
};

/* A command being run: what was given, and the means to answer. */
struct cli_call {
    const struct cli_command *command;
    const char *arguments[CLI_ARGUMENTS_MAX];
    int argument_count;
    const char *values
        [CLI_OPTIONS_MAX]; /* by the option's place in command->options; NULL: not given; "" for a switch */
    enum cli_format format;
    bool quiet;
    struct cli_profile profile;
    struct cli_client *client;
    struct kl_err err;
};

/* Whether it needs no server, and no configuration to find one. */
bool cli_command_is_offline(const struct cli_command *command);
/* The table, ended by a NULL noun. */
extern const struct cli_command cli_commands[];
/* Options that every command takes, ended by a NULL name. */
extern const struct cli_option cli_global_options[];

/* The value of an option by name; NULL when not given. Asking for one the command does not have is an assert. */
const char *cli_call_value(const struct cli_call *call, const char *option);
bool cli_call_is_set(const struct cli_call *call, const char *option);
/* Of an option that the command may not have: NULL then as well. */
const char *cli_call_value_if_any(const struct cli_call *call, const char *option);

/*
 * Parse argv (without the program's name) into ret_call: finds the command, its options and arguments. Prints what is wrong to stderr.
 * CLI_DONE; CLI_USAGE. ret_global[i]: values of cli_global_options.
 */
enum cli_exit cli_arguments_parse(int argc, char **argv, struct cli_call *ret_call,
                                  const char *ret_global[CLI_OPTIONS_MAX]);

/* Help for everything, for a noun, or for one command (NULLs widen). To stdout. False when there is no such command. */
bool cli_help_print(const char *noun, const char *verb);
/* The man page in scdoc's language, and the bash completion script, made from the table; to stdout. */
void cli_help_man(void);
void cli_help_completion_bash(void);

/*
 * Read a whole file, or standard input for "-"; on a terminal it says that it waits. ret as kl_file_read makes it.
 */
KL_MUST_USE enum kl_status cli_input_read(const char *path, struct kl_buf *ret, struct kl_err *err);
/* One line of standard input without its end; asked for with prompt and without echo on a terminal. */
KL_MUST_USE enum kl_status cli_input_line(const char *prompt, struct kl_buf *ret,
                                          struct kl_err *err);
/* Ask "really?" on a terminal; without one only --yes agrees. */
bool cli_input_confirm(const struct cli_call *call, const char *question);

/* Send a request and put problem documents into call->err. ret as cli_client_send makes it; end it with cli_response_done(). */
KL_MUST_USE enum kl_status cli_call_send(struct cli_call *call, const char *method,
                                         const char *path, const struct cli_request *request,
                                         struct cli_response *ret);

/* ---- one function per command ---- */
enum cli_exit cli_subject_create(struct cli_call *call);
enum cli_exit cli_subject_read(struct cli_call *call);
enum cli_exit cli_subject_list(struct cli_call *call);
enum cli_exit cli_subject_find(struct cli_call *call);
enum cli_exit cli_subject_erase(struct cli_call *call);
enum cli_exit cli_subject_report(struct cli_call *call);
enum cli_exit cli_subject_export(struct cli_call *call);
enum cli_exit cli_record_add(struct cli_call *call);
enum cli_exit cli_record_read(struct cli_call *call);
enum cli_exit cli_record_patch(struct cli_call *call);
enum cli_exit cli_record_verify(struct cli_call *call);
enum cli_exit cli_record_erase(struct cli_call *call);
enum cli_exit cli_record_hold(struct cli_call *call);
enum cli_exit cli_record_release(struct cli_call *call);
enum cli_exit cli_token_resolve(struct cli_call *call);
enum cli_exit cli_file_put(struct cli_call *call);
enum cli_exit cli_file_get(struct cli_call *call);
enum cli_exit cli_record_event(struct cli_call *call);
enum cli_exit cli_record_event_remove(struct cli_call *call);
enum cli_exit cli_restriction_show(struct cli_call *call);
enum cli_exit cli_restriction_set(struct cli_call *call);
enum cli_exit cli_restriction_lift(struct cli_call *call);
enum cli_exit cli_objection_list(struct cli_call *call);
enum cli_exit cli_objection_set(struct cli_call *call);
enum cli_exit cli_objection_end(struct cli_call *call);
enum cli_exit cli_retention_run(struct cli_call *call);
enum cli_exit cli_retention_list(struct cli_call *call);
enum cli_exit cli_report_statistics(struct cli_call *call);
enum cli_exit cli_retained_read(struct cli_call *call);
enum cli_exit cli_retained_end(struct cli_call *call);
enum cli_exit cli_consent_list(struct cli_call *call);
enum cli_exit cli_consent_give(struct cli_call *call);
enum cli_exit cli_consent_withdraw(struct cli_call *call);
enum cli_exit cli_consent_receipt(struct cli_call *call);
enum cli_exit cli_consent_due(struct cli_call *call);
enum cli_exit cli_notice_audience(struct cli_call *call);
enum cli_exit cli_report_retention(struct cli_call *call);
enum cli_exit cli_report_processing(struct cli_call *call);
enum cli_exit cli_disclosure_list(struct cli_call *call);
enum cli_exit cli_disclosure_add(struct cli_call *call);
enum cli_exit cli_request_create(struct cli_call *call);
enum cli_exit cli_request_list(struct cli_call *call);
enum cli_exit cli_request_show(struct cli_call *call);
enum cli_exit cli_request_verify(struct cli_call *call);
enum cli_exit cli_request_extend(struct cli_call *call);
enum cli_exit cli_request_complete(struct cli_call *call);
enum cli_exit cli_request_reject(struct cli_call *call);
enum cli_exit cli_policy_show(struct cli_call *call);
enum cli_exit cli_policy_check(struct cli_call *call);
enum cli_exit cli_policy_diff(struct cli_call *call);
enum cli_exit cli_policy_apply(struct cli_call *call);
enum cli_exit cli_policy_explain(struct cli_call *call);
enum cli_exit cli_credential_create(struct cli_call *call);
enum cli_exit cli_credential_list(struct cli_call *call);
enum cli_exit cli_credential_revoke(struct cli_call *call);
enum cli_exit cli_webhook_add(struct cli_call *call);
enum cli_exit cli_webhook_list(struct cli_call *call);
enum cli_exit cli_webhook_remove(struct cli_call *call);
enum cli_exit cli_webhook_test(struct cli_call *call);
enum cli_exit cli_key_status(struct cli_call *call);
enum cli_exit cli_key_rotate(struct cli_call *call);
enum cli_exit cli_key_sweep(struct cli_call *call);
enum cli_exit cli_key_custodian(struct cli_call *call);
enum cli_exit cli_mirror_list(struct cli_call *call);
enum cli_exit cli_mirror_add(struct cli_call *call);
enum cli_exit cli_mirror_drop(struct cli_call *call);
enum cli_exit cli_backup_create(struct cli_call *call);
enum cli_exit cli_backup_list(struct cli_call *call);
enum cli_exit cli_backup_verify(struct cli_call *call);
enum cli_exit cli_audit_search(struct cli_call *call);
enum cli_exit cli_audit_export(struct cli_call *call);
enum cli_exit cli_audit_head(struct cli_call *call);
enum cli_exit cli_audit_verify(struct cli_call *call);
enum cli_exit cli_audit_save(struct cli_call *call);
enum cli_exit cli_audit_prune(struct cli_call *call);
enum cli_exit cli_audit_prunes(struct cli_call *call);
enum cli_exit cli_audit_summary(struct cli_call *call);
enum cli_exit cli_audit_review(struct cli_call *call);
enum cli_exit cli_audit_reviews(struct cli_call *call);
enum cli_exit cli_report_breach(struct cli_call *call);
enum cli_exit cli_receipt_show(struct cli_call *call);
enum cli_exit cli_receipt_verify(struct cli_call *call);
enum cli_exit cli_store_list(struct cli_call *call);
enum cli_exit cli_store_add(struct cli_call *call);
enum cli_exit cli_tenant_create(struct cli_call *call);
enum cli_exit cli_tenant_show(struct cli_call *call);
enum cli_exit cli_tenant_list(struct cli_call *call);
enum cli_exit cli_tenant_end(struct cli_call *call);
enum cli_exit cli_tenant_restore(struct cli_call *call);
enum cli_exit cli_tenant_export(struct cli_call *call);
enum cli_exit cli_status(struct cli_call *call);
enum cli_exit cli_help(struct cli_call *call);

#endif
