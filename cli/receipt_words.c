#include "cli/receipt_words.h"

#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES (256 * 1024)

const char *cli_receipt_state(enum kl_receipt_state state)
{
    static const char *const words[] = {
        [KL_RECEIPT_HOLDS] = "ok", [KL_RECEIPT_FAILED] = "failed", [KL_RECEIPT_OPEN] = "open"};
    return words[state];
}

/* ---- pieces ---- */

/* What a file says goes to a terminal: no control character of it (C0, DEL, C1 in UTF-8) moves the cursor. */
static void put_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)text[0];
        unsigned char next = (unsigned char)text[1];
        bool c1 = byte == 0xc2 && next >= 0x80 && next <= 0x9f;
        (void)putchar(byte < 0x20 || byte == 0x7f || c1 ? '?' : byte);
        text += c1 ? 1 : 0;
    }
}

static const char *text_of(const struct kl_json_value *value, const char *key)
{
    const char *text = kl_json_text(kl_json_member(value, key));
    return text == NULL ? "-" : text;
}

static int64_t number_of(const struct kl_json_value *value, const char *key)
{
    int64_t number = 0;
    (void)kl_json_int(kl_json_member(value, key), &number);
    return number;
}

static void label(const char *name)
{
    (void)printf("%-11s ", name);
}

static void line(const char *name, const char *text)
{
    label(name);
    put_plain(text);
    (void)putchar('\n');
}

/* ---- what happened ---- */

static void print_what(const struct kl_json_value *said)
{
    const char *kind = text_of(said, "kind");
    label("shredded");
    if (strcmp(kind, "tenant") == 0) {
        (void)fputs("the tenant ", stdout);
        put_plain(text_of(said, "tenant"));
        (void)puts(": everybody in it, its keys and its audit trail");
        return;
    }
    if (strcmp(kind, "retained") == 0) {
        (void)fputs("what had been kept of a record after the erasure ", stdout);
        put_plain(text_of(said, "of"));
    } else {
        (void)fputs(strcmp(kind, "record") == 0 ? "one record of a person"
                                                : "all that was kept about one person",
                    stdout);
    }
    (void)printf(" (records: %" PRId64 ", fields: %" PRId64 ")\n",
                 number_of(said, "records_erased"), number_of(said, "fields_erased"));
}

static void print_why(const struct kl_json_value *said)
{
    label("why");
    put_plain(text_of(said, "reason"));
    if (kl_json_type(kl_json_member(said, "request")) == KL_JSON_TEXT) {
        (void)fputs(", in answer to ", stdout);
        put_plain(text_of(said, "request"));
    }
    (void)fputs("\nby          ", stdout);
    put_plain(text_of(said, "credential"));
    (void)fputs(", in call ", stdout);
    put_plain(text_of(said, "request_id"));
    (void)putchar('\n');
}

/* ---- what is left ---- */

static void print_kept(const struct kl_receipt *receipt)
{
    const struct kl_json_value *answer = kl_receipt_answer(receipt);
    const struct kl_json_value *list =
        kl_json_member(answer == NULL ? kl_receipt_said(receipt) : answer, "retained");
    const struct kl_json_value *item = NULL;
    if (kl_json_type(list) == KL_JSON_ABSENT)
        return;
    if (kl_json_count(list) == 0)
        line("kept", "nothing");
    for (struct kl_json_iter iter = kl_json_iter(list); kl_json_next(&iter, NULL, &item);) {
        label("kept");
        if (kl_json_type(kl_json_member(item, "record")) == KL_JSON_TEXT) {
            put_plain(text_of(item, "record"));
            (void)putchar(' ');
        }
        (void)fputs("for ", stdout);
        put_plain(text_of(item, "basis"));
        (void)fputs(", until ", stdout);
        put_plain(text_of(item, "until"));
        (void)putchar('\n');
    }
}

static void print_notify(const struct kl_json_value *said)
{
    const struct kl_json_value *list = kl_json_member(said, "notify");
    const struct kl_json_value *complete = kl_json_member(said, "notify_complete");
    struct kl_buf names;
    if (kl_json_type(list) == KL_JSON_ABSENT)
        return;
    kl_buf_init(&names, LINE_MAX_BYTES);
    cli_output_cell(&names, list);
    if (kl_json_type(complete) == KL_JSON_BOOL && !kl_json_bool(complete))
        kl_buf_add_text(&names, ", and others, for whom there was no room");
    line("to be told", names.size == 0 || names.failed ? "nobody" : (const char *)names.bytes);
    kl_buf_done(&names);
}

static void print_traces(const struct kl_json_value *said)
{
    const struct kl_json_value *until = kl_json_member(said, "lookup_traces_until");
    if (kl_json_type(until) == KL_JSON_TEXT) {
        label("traces");
        (void)fputs("who has all bytes and keys can test a guess at an indexed value until ",
                    stdout);
        put_plain(kl_json_text(until));
        (void)putchar('\n');
    } else if (kl_json_type(until) == KL_JSON_NULL) {
        line("traces", "who has all bytes and keys can test a guess at an indexed value until the "
                       "next sweep; none was planned");
    }
}

/* ---- how final it is ---- */

static void print_finality(const struct kl_json_value *said)
{
    static const char *const sentences[] = {
        "the old root key lay where old blocks are kept, or in software: a copy of it may be left",
        "the old root key was overwritten in place: what was shredded opens in no copy of the data "
        "any more, older ones included",
        "the old root key was destroyed in a hardware token: what was shredded opens in no copy of "
        "the data any more, older ones included",
        "the old root key was destroyed where it lay and in every mirror: what was shredded opens "
        "in no copy of the data any more, older ones included"};
    const struct kl_json_value *mirrors = kl_json_member(said, "mirrors");
    size_t pending = kl_json_count(kl_json_member(mirrors, "pending"));
    const char *finality = text_of(said, "finality");
    bool known =
        finality[0] == 'F' && finality[1] >= '0' && finality[1] <= '3' && finality[2] == '\0';
    label("finality");
    put_plain(finality);
    (void)printf(": %s", known ? sentences[finality[1] - '0'] : "not a class that is known");
    if (pending > 0)
        (void)printf("; but mirrors that had not followed when this was signed (%zu) hold the old "
                     "root key until they do: ask for the receipt again",
                     pending);
    else if (number_of(mirrors, "confirmed") > 0)
        (void)printf("; mirrors that followed: %" PRId64, number_of(mirrors, "confirmed"));
    (void)putchar('\n');
}

static void print_roots(const struct kl_json_value *said)
{
    const struct kl_json_value *roots = kl_json_member(said, "key_tree_root");
    const struct kl_json_value *generation = kl_json_member(said, "generation");
    label("key tree");
    (void)printf("generation %" PRId64 " to %" PRId64, number_of(generation, "from"),
                 number_of(generation, "to"));
    if (kl_json_type(kl_json_member(roots, "to")) != KL_JSON_TEXT) {
        (void)puts("; its root hashes are not known: an older version did not keep them");
        return;
    }
    (void)fputs(", root hash ", stdout);
    put_plain(text_of(roots, "from"));
    (void)fputs(" to ", stdout);
    put_plain(text_of(roots, "to"));
    (void)putchar('\n');
}

void cli_receipt_print(const struct kl_receipt *receipt, const struct kl_receipt_checks *checks)
{
    const struct kl_json_value *said = kl_receipt_said(receipt);
    bool holds = kl_receipt_holds(checks);
    if (!holds)
        (void)puts("DO NOT RELY ON THIS: at least one check failed\n");
    line("receipt", text_of(said, "receipt"));
    if (strcmp(text_of(said, "kind"), "tenant") != 0)
        line("tenant", text_of(said, "tenant"));
    print_what(said);
    line("when", text_of(said, "erased_at"));
    print_why(said);
    print_kept(receipt);
    print_notify(said);
    print_traces(said);
    print_finality(said);
    print_roots(said);
    (void)putchar('\n');
    for (size_t i = 0; i < checks->count; i++) {
        (void)printf("%-7s %-12s ", cli_receipt_state(checks->items[i].state),
                     checks->items[i].code);
        put_plain(checks->items[i].detail);
        (void)putchar('\n');
    }
    (void)puts(holds ? "\nit holds" : "\nit does not hold");
}
