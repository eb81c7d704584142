/* A line of a difference: an entry in words. */
#include "vault/policy_diff_internal.h"

#include <assert.h>
#include <string.h>

#define ANSWER_BYTES 48
#define BIT(action) (UINT32_C(1) << (action))
/* Whatever somebody consented to, when nobody is restricted. */
#define ANY_CONSENT \
    (BIT(VAULT_DIFF_NO_CONSENT) | BIT(VAULT_DIFF_CONSENT) | BIT(VAULT_DIFF_EXPLICIT_CONSENT))

const char *vault_diff_circumstance_name(enum vault_diff_circumstance circumstance)
{
    static const char *const names[VAULT_DIFF_CIRCUMSTANCES] = {
        "no_consent",  "consent",        "explicit_consent",
        "legal_claim", "protect_person", "public_interest"};

    assert((unsigned)circumstance < VAULT_DIFF_CIRCUMSTANCES);
    return names[circumstance];
}

/* ---- words ---- */

static const char **list(struct vault_diff *diff, size_t count)
{
    const char **texts = kl_arena_array(diff->arena, count + 1, sizeof texts[0]);

    if (texts == NULL)
        diff->no_memory = true;
    return texts;
}

static const char *text_of(struct vault_diff *diff, const struct kl_buf *text)
{
    const char *copy = kl_arena_text(diff->arena, text->bytes, text->size);

    if (copy == NULL || text->failed)
        diff->no_memory = true;
    return copy;
}

static const char *answer_text(struct vault_diff *diff, diff_answer answer, uint32_t actions)
{
    const uint64_t openness = DIFF_OPENNESS(answer);
    const uint32_t volume = (uint32_t)openness;
    const char *ret;
    struct kl_buf text;

    kl_buf_init(&text, ANSWER_BYTES);
    if (openness == 0)
        kl_buf_addf(&text, "withheld %s",
                    vault_gate_name((enum vault_gate)(answer & ((1u << DIFF_GATE_BITS) - 1))));
    else if ((actions & DIFF_SHOWS) == 0)
        kl_buf_add_text(&text, "allowed");
    else
        kl_buf_add_text(&text, vault_view_name((enum vault_view)(
                                   VAULT_VIEWS - (int)(openness >> DIFF_VOLUME_BITS))));
    if (openness != 0 && volume != UINT32_MAX)
        kl_buf_addf(&text, ", %u an hour", volume);
    ret = text_of(diff, &text);
    kl_buf_done(&text);
    return ret;
}

static const char *const *action_texts(struct vault_diff *diff, uint32_t actions)
{
    const char **texts = list(diff, VAULT_ACTIONS);
    size_t count = 0;

    for (int action = 0; texts != NULL && action < VAULT_ACTIONS; action++)
        if ((actions & BIT(action)) != 0)
            texts[count++] = vault_action_name((enum vault_action)action);
    return texts;
}

static const char *const *purpose_texts(struct vault_diff *diff, const uint64_t *purposes)
{
    const char **texts = list(diff, diff->purposes.count);
    size_t count = 0;

    for (size_t i = 0; texts != NULL && i < diff->purposes.count; i++)
        if (diff_bit(purposes, i))
            texts[count++] = diff->purposes.names[i];
    return texts;
}

/* How many fields a type has in both policies, and how many of them are in the set. */
static size_t fields_in(const struct vault_diff *diff, size_t record, const uint64_t *fields,
                        size_t *ret_in)
{
    size_t all = 0;

    *ret_in = 0;
    for (size_t i = 0; i < diff->fields.count; i++)
        if (diff->record_of[i] == (int)record) {
            all++;
            *ret_in += diff_bit(fields, i);
        }
    return all;
}

static const char *type_star(struct vault_diff *diff, size_t record)
{
    const char *ret;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_NAME_MAX_BYTES + 2);
    kl_buf_addf(&text, "%s.*", diff->records.names[record]);
    ret = text_of(diff, &text);
    kl_buf_done(&text);
    return ret;
}

static const char *const *field_texts(struct vault_diff *diff, const uint64_t *fields)
{
    const char **texts = list(diff, diff->fields.count + 1);
    size_t count = 0;
    size_t covered = 0;

    for (size_t record = 0; texts != NULL && record < diff->records.count; record++) {
        size_t in = 0;
        const size_t all = fields_in(diff, record, fields, &in);

        covered += in;
        if (all > 1 && in == all) {
            texts[count++] = type_star(diff, record);
            continue;
        }
        for (size_t i = 0; in > 0 && i < diff->fields.count; i++)
            if (diff->record_of[i] == (int)record && diff_bit(fields, i))
                texts[count++] = diff->fields.names[i];
    }
    if (texts != NULL && diff->records.count > 1 && covered == diff->fields.count) {
        texts[0] = "*";
        texts[1] = NULL;
    }
    return texts;
}

static const char *const *place_texts(struct vault_diff *diff, const struct diff_entry *entry)
{
    const char **texts = list(diff, diff->place_count);
    size_t count = 0;

    for (size_t i = 0; texts != NULL && i < diff->place_count; i++)
        if (entry->where[i] != 0)
            texts[count++] = diff->places[i].label;
    if (texts != NULL && count == diff->place_count)
        texts[0] = NULL; /* everywhere */
    return texts;
}

/* Contexts in which it changes anywhere. */
static unsigned contexts_of(const struct vault_diff *diff, const struct diff_entry *entry)
{
    unsigned contexts = 0;

    for (size_t i = 0; i < diff->place_count; i++)
        contexts |= entry->where[i];
    return contexts;
}

static const char *const *time_texts(struct vault_diff *diff, unsigned contexts)
{
    const char **texts = list(diff, diff->time_count);
    size_t count = 0;

    for (size_t i = 0; texts != NULL && i < diff->time_count; i++)
        if ((contexts & (BIT(i) | BIT(i + diff->time_count))) != 0)
            texts[count++] = diff->times[i].label;
    if (texts != NULL && count == diff->time_count)
        texts[0] = NULL; /* at any time */
    return texts;
}

static const char *whose_text(const struct vault_diff *diff, unsigned contexts)
{
    const unsigned others = BIT(diff->time_count) - 1;
    const bool of_others = (contexts & others) != 0;
    const bool of_themselves = (contexts & ~others) != 0;

    if (diff->context_count == diff->time_count || (of_others && of_themselves))
        return "anybody";
    return of_themselves ? "themselves" : "others";
}

void vault_diff_line_add(struct vault_diff *diff, size_t role, const struct diff_entry *entry)
{
    const unsigned contexts = contexts_of(diff, entry);

    if (diff->count == VAULT_DIFF_LINES_MAX) {
        diff->complete = false;
        return;
    }
    diff->entries[diff->count] = *entry;
    diff->lines[diff->count++] = (struct vault_diff_line){
        .allows = DIFF_OPENNESS(entry->now) > DIFF_OPENNESS(entry->was),
        .role = diff->roles.names[role],
        .recipient =
            entry->recipient == VAULT_NONE ? NULL : diff->recipients.names[entry->recipient],
        .actions = action_texts(diff, entry->actions),
        .fields = field_texts(diff, entry->fields),
        .purposes = purpose_texts(diff, entry->purposes),
        .places = place_texts(diff, entry),
        .times = time_texts(diff, contexts),
        .whose = whose_text(diff, contexts),
        .circumstances = entry->circumstances,
        .was = answer_text(diff, entry->was, entry->actions),
        .now = answer_text(diff, entry->now, entry->actions),
    };
}

void vault_diff_return_add(struct vault_diff *diff, bool allows)
{
    static const char *const nothing[] = {NULL};
    static const char *const exports[] = {"export", NULL};
    static const char *const all[] = {"*", NULL};
    static const char *const answers[] = {"withheld role", "plain"};

    if (diff->count == VAULT_DIFF_LINES_MAX) {
        diff->complete = false;
        return;
    }
    diff->entries[diff->count] =
        (struct diff_entry){.recipient = VAULT_NONE, .without_purpose = true};
    memset(diff->entries[diff->count].fields, 0xff, sizeof diff->entries[0].fields);
    diff->lines[diff->count++] = (struct vault_diff_line){
        .allows = allows,
        .role = "steward",
        .actions = exports,
        .fields = all,
        .purposes = nothing,
        .places = nothing,
        .times = nothing,
        .whose = "anybody",
        .circumstances = (1u << VAULT_DIFF_CIRCUMSTANCES) - 1,
        .was = answers[!allows],
        .now = answers[allows],
    };
}

/* ---- as people read it ---- */

static void add_list(struct kl_buf *out, const char *const *texts)
{
    for (size_t i = 0; texts[i] != NULL; i++)
        kl_buf_addf(out, "%s%s", i == 0 ? "" : ", ", texts[i]);
}

static void add_circumstances(struct kl_buf *out, unsigned circumstances)
{
    static const char *const words[VAULT_DIFF_CIRCUMSTANCES] = {
        "without consent",
        "with consent",
        "with explicit consent",
        "restricted, claiming legal_claim",
        "restricted, claiming protect_person",
        "restricted, claiming public_interest"};
    const char *before = "; ";

    if ((circumstances & ANY_CONSENT) == ANY_CONSENT)
        return;
    for (int i = 0; i < VAULT_DIFF_CIRCUMSTANCES; i++)
        if ((circumstances & BIT(i)) != 0) {
            kl_buf_addf(out, "%s%s", before, words[i]);
            before = " or ";
        }
}

void vault_diff_line_text(const struct vault_diff_line *line, struct kl_buf *out)
{
    kl_buf_addf(out, "%c %s: ", line->allows ? '+' : '-', line->role);
    add_list(out, line->actions);
    kl_buf_add_text(out, " ");
    add_list(out, line->fields);
    if (line->purposes[0] != NULL)
        kl_buf_add_text(out, " for ");
    add_list(out, line->purposes);
    if (line->recipient != NULL)
        kl_buf_addf(out, " to %s", line->recipient);
    kl_buf_addf(out, ": %s -> %s (", line->was, line->now);
    if (line->places[0] == NULL)
        kl_buf_add_text(out, "everywhere");
    add_list(out, line->places);
    add_circumstances(out, line->circumstances);
    if (strcmp(line->whose, "anybody") != 0)
        kl_buf_addf(out, "; of %s", line->whose);
    if (line->times[0] != NULL)
        kl_buf_add_text(out, "; ");
    add_list(out, line->times);
    kl_buf_add_text(out, ")");
}
