/* `kluis audit verify`: the trail checked from the outside, and what is wrong with it. */
#include "cli/common.h"
#include "cli/trail_verify.h"
#include "kluis/base/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MAX_BYTES (1024u * 1024u)

static void print_people(const struct cli_trail_verify *verify)
{
    const struct kl_trail_head *head = &verify->head;
    char key[KL_BASE64_CHARS(KL_TRAIL_KEY_BYTES) + 1];
    kl_base64(head->key, sizeof head->key, key);
    (void)printf("%s: %" PRIu64 " entries at %s, signed by %s\n",
                 head->tenant[0] == '\0' ? "the vault's own trail" : head->tenant, head->size,
                 head->at, key);
    (void)printf("looked at %" PRIu64 " from number %" PRIu64 " on; %" PRIu64
                 " numbers are lost; %zu changes of the key; %zu kept heads\n",
                 verify->entries, verify->start, verify->lost, verify->link_count,
                 verify->kept_count);
    if (verify->pruned > 0)
        (void)printf("of %" PRIu64 " entries below number %" PRIu64
                     " only the hashes are there: they went by the policy\n",
                     verify->pruned, verify->check.pruned);
    for (size_t i = 0; i < verify->findings.count && i < KL_TRAIL_FINDINGS_MAX; i++) {
        const struct kl_trail_finding *finding = &verify->findings.items[i];
        (void)printf("%s", finding->code);
        if (finding->until > finding->from + 1)
            (void)printf(" (entries %" PRIu64 " to %" PRIu64 ")", finding->from,
                         finding->until - 1);
        else if (finding->until != 0)
            (void)printf(" (entry %" PRIu64 ")", finding->from);
        (void)printf(": %s\n", finding->detail);
    }
    if (verify->findings.count > KL_TRAIL_FINDINGS_MAX)
        (void)printf("and %zu more\n", verify->findings.count - KL_TRAIL_FINDINGS_MAX);
    (void)puts(verify->findings.count == 0 ? "all of it holds" : "it does not hold");
}

static void write_findings(const struct kl_trail_findings *findings, struct kl_json_out *out)
{
    kl_json_key(out, "findings");
    kl_json_array_begin(out);
    for (size_t i = 0; i < findings->count && i < KL_TRAIL_FINDINGS_MAX; i++) {
        const struct kl_trail_finding *finding = &findings->items[i];
        kl_json_object_begin(out);
        kl_json_add_text(out, "code", finding->code);
        if (finding->until != 0) {
            kl_json_add_int(out, "from", (int64_t)finding->from);
            kl_json_add_int(out, "until", (int64_t)finding->until);
        }
        kl_json_add_text(out, "detail", finding->detail);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static enum kl_status print_json(struct cli_call *call, const struct cli_trail_verify *verify)
{
    struct kl_buf head;
    struct kl_buf text;
    kl_buf_init(&head, KL_TRAIL_JSON_MAX_BYTES);
    kl_buf_init(&text, ANSWER_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&text);
    kl_trail_head_write(&verify->head, &head);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "holds", verify->findings.count == 0);
    kl_json_key(&out, "head");
    kl_json_put_raw(&out, head.bytes, head.size);
    kl_json_add_int(&out, "from", (int64_t)verify->start);
    kl_json_add_int(&out, "entries", (int64_t)verify->entries);
    kl_json_add_int(&out, "lost", (int64_t)verify->lost);
    kl_json_add_int(&out, "pruned", (int64_t)verify->pruned);
    kl_json_add_int(&out, "pruned_until", (int64_t)verify->check.pruned);
    kl_json_add_int(&out, "key_changes", (int64_t)verify->link_count);
    kl_json_add_int(&out, "kept_heads", (int64_t)verify->kept_count);
    kl_json_add_int(&out, "finding_count", (int64_t)verify->findings.count);
    write_findings(&verify->findings, &out);
    kl_json_object_end(&out);
    enum kl_status status = kl_buf_status(&text, &call->err);
    if (status == KL_OK) {
        (void)fwrite(text.bytes, 1, text.size, stdout);
        (void)putchar('\n');
    }
    kl_buf_done(&head);
    kl_buf_done(&text);
    return status;
}

static void print_csv(const struct cli_trail_verify *verify)
{
    static const char *const titles[] = {"CODE", "FROM", "UNTIL", "DETAIL"};
    struct cli_table *table = cli_table_new(CLI_FORMAT_CSV, titles, 4);
    for (size_t i = 0; i < verify->findings.count && i < KL_TRAIL_FINDINGS_MAX; i++) {
        const struct kl_trail_finding *finding = &verify->findings.items[i];
        char from[24];
        char until[24];
        (void)snprintf(from, sizeof from, "%" PRIu64, finding->from);
        (void)snprintf(until, sizeof until, "%" PRIu64, finding->until);
        const char *const cells[] = {finding->code, from, until, finding->detail};
        cli_table_row(table, cells);
    }
    cli_table_print_free(table);
}

static enum kl_status verify_all(struct cli_call *call, struct cli_trail_verify *verify)
{
    const char *from = cli_call_value(call, "from");
    enum kl_status status = cli_trail_verify_head(verify);
    if (status == KL_OK && cli_call_is_set(call, "known-key"))
        status = cli_trail_verify_key(verify, cli_call_value(call, "known-key"));
    if (status == KL_OK && from != NULL)
        status = cli_trail_verify_kept(verify, from);
    if (status == KL_OK)
        cli_trail_verify_begin(verify);
    if (status == KL_OK && from != NULL && !cli_call_is_set(call, "all"))
        status = cli_trail_verify_skip(verify);
    if (status == KL_OK)
        status = cli_trail_verify_entries(verify);
    return status == KL_OK ? cli_trail_verify_proofs(verify) : status;
}

/* Without a server. */
static enum kl_status verify_copy(struct cli_call *call, struct cli_trail_verify *verify)
{
    if (cli_call_is_set(call, "from") || cli_call_is_set(call, "all"))
        return kl_fail(&call->err, KL_ERR_INVALID, "invalid_option",
                       "heads that were kept are given as one more FILE", NULL);
    enum kl_status status = cli_trail_verify_files(verify, call->arguments, call->argument_count);
    if (status == KL_OK && cli_call_is_set(call, "known-key"))
        status = cli_trail_verify_key(verify, cli_call_value(call, "known-key"));
    return status;
}

enum cli_exit cli_audit_verify(struct cli_call *call)
{
    struct cli_trail_verify *verify = calloc(1, sizeof *verify);
    if (verify == NULL) {
        (void)kl_fail_memory(&call->err);
        return CLI_FAILED;
    }
    verify->call = call;
    enum kl_status status =
        call->argument_count > 0 ? verify_copy(call, verify) : verify_all(call, verify);
    if (status == KL_OK && call->format == CLI_FORMAT_JSON)
        status = print_json(call, verify);
    else if (status == KL_OK && call->format == CLI_FORMAT_CSV)
        print_csv(verify);
    else if (status == KL_OK)
        print_people(verify);
    bool holds = status == KL_OK && verify->findings.count == 0;
    cli_trail_verify_done(verify);
    free(verify);
    return holds ? CLI_DONE : CLI_FAILED;
}
