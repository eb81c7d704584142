/*
 * Searching the audit trail: whatever state the index is in, the answer is that of a look at every entry, made here from the texts of the rows.
 */
#include "vault/audit_search.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/act.h"
#include "vault/audit_check.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (4 * 1024 * 1024)
#define GROUP 1000
#define SLOTS 5
#define CREDENTIALS 4
#define SEQS_MAX 20000
#define SECOND_US INT64_C(1000000)
/* Times of the entries that are made: ahead of the fixture's own, so that they come in order. */
#define AHEAD_US (INT64_C(4000000000) * SECOND_US)

struct people {
    struct kl_id subjects[SLOTS];
    uint64_t slots[SLOTS];
    struct kl_id credentials[CREDENTIALS];
};

static uint32_t seed;
static int64_t base_us;
static int64_t step_us;
static int64_t now_us; /* behind all entries so far */

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* ---- entries ---- */

static struct people people_make(struct vault_fixture *fixture)
{
    struct people people;

    base_us = AHEAD_US;
    step_us = SECOND_US;
    for (size_t i = 0; i < SLOTS; i++) {
        char email[32];

        (void)snprintf(email, sizeof email, "ana%zu@example.org", i);
        people.subjects[i] = fixture_newsletter(fixture, email, true).id;
        people.slots[i] = fixture_slot(fixture, &people.subjects[i]);
    }
    for (size_t i = 0; i < CREDENTIALS; i++) {
        people.credentials[i] = kl_id_new();
    }
    return people;
}

static void entry_make(struct vault_act *act, uint64_t tenant, const struct people *people,
                       size_t number)
{
    static const char *const actions[] = {"read", "patch", "lookup", "report"};
    static const char *const purposes[] = {"mailing", "support", "service"};
    static const char *const fields[] = {"email", "iban", "notes", "phone"};
    const struct vault_audit_who who = {.credential = &people->credentials[draw(CREDENTIALS)],
                                        .role = "tester",
                                        .at_us = base_us + (int64_t)number * step_us -
                                                 (int64_t)draw(600) * step_us};
    const char *action = actions[draw(4)];

    vault_act_begin(act, tenant, &who, action);
    if (draw(10) != 0) {
        kl_json_add_int(&act->out, "slot", (int64_t)people->slots[draw(SLOTS)]);
    }
    kl_json_add_text(&act->out, "purpose", purposes[draw(3)]);
    if (strcmp(action, "lookup") == 0) {
        kl_json_add_text(&act->out, "field", "client.email");
    } else if (strcmp(action, "patch") == 0) {
        kl_json_add_text(&act->out, "type", "client");
        kl_json_key(&act->out, "fields");
        kl_json_object_begin(&act->out);
        kl_json_add_text(&act->out, fields[draw(4)], "set");
        kl_json_object_end(&act->out);
    } else {
        kl_json_key(&act->out, "shown");
        kl_json_array_begin(&act->out);
        kl_json_object_begin(&act->out);
        kl_json_add_text(&act->out, "type", "client");
        kl_json_key(&act->out, draw(2) == 0 ? "fields" : "withheld");
        kl_json_object_begin(&act->out);
        kl_json_add_text(&act->out, fields[draw(4)], "plain");
        kl_json_object_end(&act->out);
        kl_json_object_end(&act->out);
        kl_json_array_end(&act->out);
    }
    kl_json_add_text(&act->out, "result", draw(8) == 0 ? "refused" : "ok");
    assert_int_equal(vault_audit_end(&act->entry, &act->out, NULL), KL_OK);
}

static void entries_make(struct vault_fixture *fixture, const struct people *people, size_t first,
                         size_t count)
{
    static struct vault_act acts[GROUP];
    struct vault_audit_entry *entries[GROUP];

    for (size_t done = 0; done < count;) {
        size_t group = count - done < GROUP ? count - done : GROUP;

        for (size_t i = 0; i < group; i++) {
            entry_make(&acts[i], fixture_tenant(fixture), people, first + done + i);
            entries[i] = &acts[i].entry;
        }
        assert_int_equal(vault_audit_commit(fixture_vault(fixture), entries, group, NULL), KL_OK);
        for (size_t i = 0; i < group; i++) {
            vault_act_done(&acts[i]);
        }
        done += group;
    }
    now_us = base_us + (int64_t)(first + count) * step_us;
}

static uint64_t trail_size(struct vault_fixture *fixture)
{
    uint64_t size = 0;

    assert_int_equal(
        vault_trails_size(fixture_vault(fixture)->trails, fixture_tenant(fixture), &size, NULL),
        KL_OK);
    return size;
}

/* ---- the two answers ---- */

struct seqs {
    size_t count;
    uint64_t items[SEQS_MAX];
};

static bool holds(const char *text, const char *format, const char *what)
{
    char piece[160];

    (void)snprintf(piece, sizeof piece, format, what);
    return what == NULL || strstr(text, piece) != NULL;
}

static bool fits(const char *text, const struct vault_audit_filter *filter, int64_t slot)
{
    char credential[KL_ID_TEXT_BYTES];
    char number[32];
    const char *at = strstr(text, "\"at\":\"");
    const char *field = filter->field == NULL ? NULL : strchr(filter->field, '.') + 1;
    int64_t at_us = 0;

    assert_non_null(at);
    assert_int_equal(kl_time_parse(at + 6, strcspn(at + 6, "\""), &at_us, NULL), KL_OK);
    (void)snprintf(number, sizeof number, "%lld", (long long)slot);
    if (filter->credential != NULL) {
        kl_id_format("cred", filter->credential, credential);
    }
    return at_us >= filter->from_us && (filter->to_us == 0 || at_us < filter->to_us) &&
           holds(text, "\"slot\":%s,", filter->subject == NULL ? NULL : number) &&
           holds(text, "\"credential\":\"%s\"", filter->credential == NULL ? NULL : credential) &&
           holds(text, "\"purpose\":\"%s\"", filter->purpose) &&
           holds(text, "\"action\":\"%s\"", filter->action) &&
           holds(text, "\"result\":\"%s\"", filter->result) &&
           (field == NULL || holds(text, "{\"%s\":\"", field) ||
            holds(text, "\"field\":\"%s\"", filter->field));
}

/* What an entry says was looked for is nothing that it did. */
static void cut_searched(char *text)
{
    char *at = strstr(text, "\"searched\":{");
    const char *past = at == NULL ? NULL : strchr(at, '}');

    if (at != NULL) {
        assert_non_null(past);
        memmove(at, past + 1, strlen(past + 1) + 1);
    }
}

/* Every row of the trail up to size. */
static void look_at_all(struct vault_fixture *fixture, const struct vault_audit_filter *filter,
                        int64_t slot, uint64_t size, struct seqs *ret)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    uint64_t seq = 0;
    static char text[VAULT_AUDIT_ENTRY_MAX_BYTES + 1];

    ret->count = 0;
    assert_int_equal(
        vault_audit_walk_begin(&walk, fixture_vault(fixture), fixture_tenant(fixture), 0, NULL),
        KL_OK);
    while (vault_audit_walk_next(&walk, &seq, &entry, NULL) == KL_OK && seq < size) {
        memcpy(text, entry.bytes, entry.size);
        text[entry.size] = '\0';
        cut_searched(text);
        if (fits(text, filter, slot)) {
            ret->items[ret->count++] = seq;
        }
    }
    vault_audit_walk_end(&walk);
}

static void take_page(const struct kl_buf *text, uint64_t size, struct seqs *ret)
{
    struct kl_json *json = NULL;
    struct kl_json_iter iter;
    const struct kl_json_value *item = NULL;
    int64_t seq = 0;

    assert_int_equal(kl_json_parse(text->bytes, text->size, &json, NULL), KL_OK);
    iter = kl_json_iter(kl_json_root(json));
    while (kl_json_next(&iter, NULL, &item)) {
        assert_true(kl_json_int(kl_json_member(item, "seq"), &seq));
        if ((uint64_t)seq < size) {
            assert_in_range(ret->count, 0, SEQS_MAX - 1);
            ret->items[ret->count++] = (uint64_t)seq;
        }
    }
    kl_json_free(json);
}

static void search(struct vault_fixture *fixture, const struct vault_audit_filter *filter,
                   size_t limit, uint64_t size, struct seqs *ret)
{
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_err err = {0};

    ret->count = 0;
    do {
        struct vault_caller caller = admin_steward(fixture->admin);
        struct kl_buf text;

        caller.now_us = now_us;
        kl_buf_init(&text, TEXT_BYTES);
        if (vault_audit_list(fixture_vault(fixture), &caller, filter, limit, cursor, &text, cursor,
                             &err) != KL_OK) {
            fail_msg("%s %s", err.code, err.log_text);
        }
        take_page(&text, size, ret);
        kl_buf_done(&text);
        vault_caller_done(&caller);
    } while (cursor[0] != '\0');
}

static void assert_same(struct vault_fixture *fixture, const struct vault_audit_filter *filter,
                        int64_t slot, size_t limit)
{
    static struct seqs expected;
    static struct seqs found;
    uint64_t size = trail_size(fixture);

    look_at_all(fixture, filter, slot, size, &expected);
    search(fixture, filter, limit, size, &found);
    assert_int_equal(found.count, expected.count);
    assert_memory_equal(found.items, expected.items, found.count * sizeof found.items[0]);
}

static size_t count_of(struct vault_fixture *fixture, const struct vault_audit_filter *filter)
{
    static struct seqs found;

    search(fixture, filter, 1000, trail_size(fixture), &found);
    return found.count;
}

/* Each kind of term alone, and several at once as they are drawn, over all times and in a window. */
static void assert_searches(struct vault_fixture *fixture, const struct people *people,
                            size_t entries)
{
    static const char *const fields[] = {"client.email", "client.iban", "client.notes"};
    static const char *const actions[] = {"read", "patch", "lookup", "report", "create"};

    seed = 7;
    for (unsigned i = 0; i < 24; i++) {
        unsigned bits = i < 6 ? 1u << i : draw(64);
        size_t person = draw(SLOTS);
        int64_t from_s = draw((uint32_t)entries);
        struct vault_audit_filter filter = {
            .subject = (bits & 1) != 0 ? &people->subjects[person] : NULL,
            .credential = (bits & 2) != 0 ? &people->credentials[draw(CREDENTIALS)] : NULL,
            .purpose = (bits & 4) != 0 ? "support" : NULL,
            .field = (bits & 8) != 0 ? fields[draw(3)] : NULL,
            .action = (bits & 16) != 0 ? actions[draw(5)] : NULL,
            .result = (bits & 32) != 0 ? (draw(2) == 0 ? "ok" : "refused") : NULL};

        if (i % 3 == 2) {
            filter.from_us = base_us + from_s * step_us;
            filter.to_us = filter.from_us + (1 + (int64_t)draw(5000)) * step_us;
        }
        assert_same(fixture, &filter, (int64_t)people->slots[person], i % 2 == 0 ? 1000 : 333);
    }
}

/* ---- the index ---- */

static struct vault_audit_indexed indexed(struct vault_fixture *fixture)
{
    struct vault_audit_indexed indexed;

    assert_int_equal(
        vault_audit_indexed_read(fixture_vault(fixture), fixture_tenant(fixture), &indexed, NULL),
        KL_OK);
    return indexed;
}

static void index_all(struct vault_fixture *fixture)
{
    for (int i = 0; i < 200 && indexed(fixture).until < trail_size(fixture) / VAULT_POSTINGS_BLOCK;
         i++) {
        assert_int_equal(vault_audit_index_task.run(fixture_vault(fixture), 0, NULL), KL_OK);
    }
    assert_int_equal(indexed(fixture).until, trail_size(fixture) / VAULT_POSTINGS_BLOCK);
}

static void apply(struct vault_fixture *fixture, struct vault_batch *batch)
{
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

static void row_remove(struct vault_fixture *fixture, struct vault_row_key key)
{
    struct vault_batch *batch = vault_batch_new();

    vault_batch_remove(batch, vault_row_slice(&key));
    apply(fixture, batch);
}

static void row_edit(struct vault_fixture *fixture, struct vault_row_key key, size_t at)
{
    struct vault_batch *batch = vault_batch_new();
    struct kl_buf row;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    row.bytes[at] ^= 1;
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    apply(fixture, batch);
    kl_buf_done(&row);
}

/* The row of a text's term. */
static struct vault_row_key row_of(struct vault_fixture *fixture, uint64_t block,
                                   enum vault_term_kind kind, const char *text)
{
    uint64_t value = vault_term_of_text(kind, text).value;

    return vault_row_postings(fixture_tenant(fixture), block, (uint8_t)kind,
                              (uint8_t)(value % vault_postings_buckets(kind)));
}

/* What a doctor finds wrong with the index. */
static size_t findings(struct vault_fixture *fixture)
{
    static struct kl_trail_findings found;
    uint64_t size = 0;
    size_t damaged = 0;

    memset(&found, 0, sizeof found);
    assert_int_equal(
        vault_audit_check(fixture_vault(fixture), fixture_tenant(fixture), &found, &size, NULL),
        KL_OK);
    for (size_t i = 0; i < found.count; i++) {
        damaged += strcmp(found.items[i].code, "index_damaged") == 0;
    }
    return damaged;
}

/* ---- tests ---- */

static void test_the_answer_is_that_of_a_look_at_every_entry(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);

    seed = 1;
    entries_make(fixture, &people, 0, 9000);
    assert_searches(fixture, &people, 9000); /* without an index */
    index_all(fixture);
    assert_true(indexed(fixture).until >= 2);
    assert_searches(fixture, &people, 9000);
    assert_int_equal(findings(fixture), 0);
    entries_make(fixture, &people, 9000, 500); /* a longer tail */
    assert_searches(fixture, &people, 9500);
}

static void test_entries_at_the_borders_of_blocks_are_found(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_audit_filter filter = {.action = "erase"};
    uint64_t border = VAULT_POSTINGS_BLOCK;
    uint64_t seqs[] = {border - 1, border, 2 * border - 1, 2 * border};

    seed = 2;
    for (size_t i = 0; i < 4; i++) {
        const struct vault_audit_who who = {.role = "tester",
                                            .at_us = base_us + (int64_t)i * step_us};
        struct vault_act act;
        struct vault_act *acts[1] = {&act};
        size_t missing = (size_t)(seqs[i] - trail_size(fixture));

        entries_make(fixture, &people, 0, missing);
        vault_act_begin(&act, fixture_tenant(fixture), &who, "erase");
        assert_int_equal(vault_act_commit(fixture_vault(fixture), acts, 1, NULL, NULL), KL_OK);
        vault_act_done(&act);
    }
    entries_make(fixture, &people, 0, 10);
    assert_int_equal(count_of(fixture, &filter), 4);
    index_all(fixture);
    assert_int_equal(indexed(fixture).until, 2);
    assert_int_equal(count_of(fixture, &filter), 4);
    assert_same(fixture, &filter, -1, 1);
}

static void test_an_index_that_was_left_half_made_goes_on(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_batch *batch = vault_batch_new();
    struct vault *vault = fixture_vault(fixture);
    uint64_t tenant = fixture_tenant(fixture);

    seed = 3;
    entries_make(fixture, &people, 0, 13000);
    assert_int_equal(vault_audit_index_block(vault, tenant, 0, batch, NULL), KL_OK);
    vault_audit_indexed_put(tenant, 1, batch);
    apply(fixture, batch);
    fixture_reopen(fixture);
    assert_int_equal(indexed(fixture).until, 1);
    assert_searches(fixture, &people, 13000);
    index_all(fixture);
    assert_int_equal(indexed(fixture).until, 3);
    assert_searches(fixture, &people, 13000);
    assert_int_equal(findings(fixture), 0);
}

static void test_damage_hides_nothing_and_is_mended(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_audit_filter filter = {.action = "lookup", .purpose = "support"};
    size_t expected;

    seed = 4;
    entries_make(fixture, &people, 0, 9000);
    index_all(fixture);
    expected = count_of(fixture, &filter);
    assert_true(expected > 100);

    row_edit(fixture, row_of(fixture, 0, VAULT_TERM_ACTION, "lookup"), 12);
    row_remove(fixture, row_of(fixture, 1, VAULT_TERM_PURPOSE, "support"));
    assert_int_equal(findings(fixture), 2);
    assert_int_equal(count_of(fixture, &filter), expected);
    assert_int_equal(findings(fixture), 0); /* the search had it written anew */
    assert_int_equal(count_of(fixture, &filter), expected);
}

static void test_what_the_index_says_wrongly_is_found_by_the_doctor(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key key = row_of(fixture, 0, VAULT_TERM_ACTION, "lookup");
    struct vault_audit_filter filter = {.action = "erase"};
    struct vault_posting wrong = {.value = vault_term_of_text(VAULT_TERM_ACTION, "erase").value,
                                  .place = 3000};
    struct kl_buf row;

    seed = 5;
    entries_make(fixture, &people, 0, 5000);
    index_all(fixture);
    assert_int_equal(findings(fixture), 0);
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    key = row_of(fixture, 0, VAULT_TERM_ACTION, "erase");
    vault_postings_write(vault_row_slice(&key), &wrong, 1, &row);
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    apply(fixture, batch);
    kl_buf_done(&row);
    assert_int_equal(findings(fixture), 1);
    assert_int_equal(count_of(fixture, &filter), 0); /* the entry decides */
}

static void test_a_position_that_cannot_be_is_none(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_row_key key = vault_row_audit_indexed(fixture_tenant(fixture));
    struct vault_batch *batch = vault_batch_new();

    seed = 6;
    entries_make(fixture, &people, 0, 5000);
    index_all(fixture);
    row_edit(fixture, key, 0); /* of no format that is known */
    assert_int_equal(indexed(fixture).until, 0);
    assert_searches(fixture, &people, 5000);
    fixture_reopen(fixture);
    index_all(fixture);
    vault_audit_indexed_put(fixture_tenant(fixture), 1000, batch); /* behind the end */
    apply(fixture, batch);
    assert_int_equal(indexed(fixture).until, 0);
    assert_searches(fixture, &people, 5000);
    row_remove(fixture, key);
    assert_int_equal(indexed(fixture).until, 0);
    fixture_reopen(fixture);
    index_all(fixture);
    assert_searches(fixture, &people, 5000);
}

static void test_a_block_with_an_entry_that_cannot_be_read_is_not_passed_over(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_row_key damaged = vault_row_audit(fixture_tenant(fixture), 2000);
    const struct vault_audit_filter filter = {.action = "erase"};
    struct vault_caller caller = admin_steward(fixture->admin);
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_err err = {0};
    struct kl_buf text;

    seed = 8;
    entries_make(fixture, &people, 0, 5000);
    row_edit(fixture, damaged, 0);
    index_all(fixture);
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_audit_list(fixture_vault(fixture), &caller, &filter, 10, cursor, &text, cursor, &err),
        KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_damaged");
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_numbers_that_were_lost_are_in_no_answer(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);

    seed = 9;
    base_us = kl_time_now_us(); /* as the entry "data_restored" */
    step_us = SECOND_US / 10;
    entries_make(fixture, &people, 0, 5000);
    index_all(fixture);
    fixture_copy(fixture);
    entries_make(fixture, &people, 5000, 4500);
    index_all(fixture);
    assert_int_equal(indexed(fixture).until, 2);
    fixture_swap_data(fixture);
    fixture_reopen(fixture);
    assert_int_equal(indexed(fixture).until, 1);
    assert_true(trail_size(fixture) > VAULT_AUDIT_NUMBERS_BLOCK);
    entries_make(fixture, &people, 9500, 5000);
    assert_searches(fixture, &people, 14500);
    index_all(fixture);
    assert_searches(fixture, &people, 14500);
    assert_int_equal(findings(fixture), 0);
}

static void test_what_is_pruned_is_gone_and_the_rest_is_found(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = people_make(fixture);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key first = vault_row_audit(fixture_tenant(fixture), 0);
    struct vault_row_key past = vault_row_audit(fixture_tenant(fixture), 5000);
    struct vault_row_key gone;
    struct kl_buf row;

    seed = 10;
    entries_make(fixture, &people, 0, 13000);
    index_all(fixture);
    gone = vault_row_postings(fixture_tenant(fixture), 0, VAULT_TERM_RESULT, 0);
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
    vault_audit_index_prune(fixture_tenant(fixture), 5000, batch);
    apply(fixture, batch);
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&gone), &row, NULL),
        KL_ERR_NOT_FOUND);
    assert_int_equal(indexed(fixture).first, 1);
    assert_int_equal(indexed(fixture).until, 3);
    assert_searches(fixture, &people, 13000);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&gone), &row, NULL),
        KL_ERR_NOT_FOUND);
    kl_buf_done(&row);
}

static void test_pruning_less_than_a_block_changes_nothing(void **state)
{
    struct vault_batch *batch = vault_batch_new();

    (void)state;
    vault_audit_index_prune(7, VAULT_POSTINGS_BLOCK - 1, batch);
    assert_int_equal(vault_batch_count(batch), 0);
    vault_batch_free(batch);
}

static void test_names_that_cannot_be_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    static const struct {
        struct vault_audit_filter filter;
        const char *code;
    } cases[] = {
        {{.purpose = "Mailing"}, "invalid_name"},     {{.purpose = "mail ing"}, "invalid_name"},
        {{.field = "email"}, "invalid_name"},         {{.field = "client.email.x"}, "invalid_name"},
        {{.field = "client."}, "invalid_name"},       {{.field = ".email"}, "invalid_name"},
        {{.action = "reed"}, "unknown_action"},       {{.result = "good"}, "unknown_result"},
        {{.from_us = 2, .to_us = 1}, "invalid_range"}};
    struct vault_caller caller = admin_steward(fixture->admin);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "as it was";
        struct kl_err err = {0};
        struct kl_buf text;

        kl_buf_init(&text, TEXT_BYTES);
        assert_int_equal(vault_audit_list(fixture_vault(fixture), &caller, &cases[i].filter, 10, "",
                                          &text, cursor, &err),
                         KL_ERR_INVALID);
        assert_string_equal(err.code, cases[i].code);
        assert_int_equal(text.size, 0);
        assert_string_equal(cursor, "as it was");
        kl_buf_done(&text);
    }
    vault_caller_done(&caller);
}

static void test_what_was_searched_for_is_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_audit_filter filter = {.purpose = "support",
                                              .field = "client.iban",
                                              .action = "read",
                                              .result = "refused",
                                              .from_us = SECOND_US};

    (void)count_of(fixture, &filter);
    assert_int_equal(
        fixture_trail(fixture, "\"searched\":{\"purpose\":\"support\",\"field\":\"client.iban\","
                               "\"action\":\"read\",\"result\":\"refused\","
                               "\"from\":\"1970-01-01T00:00:01.000000Z\"},\"result\":\"ok\""),
        1);
    /* Not as if it had been done for that purpose. */
    assert_int_equal(count_of(fixture, &(struct vault_audit_filter){.purpose = "support",
                                                                    .action = "audit_read"}),
                     0);
}

int main(void)
{
#define SEARCH_TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        SEARCH_TEST(test_the_answer_is_that_of_a_look_at_every_entry),
        SEARCH_TEST(test_entries_at_the_borders_of_blocks_are_found),
        SEARCH_TEST(test_an_index_that_was_left_half_made_goes_on),
        SEARCH_TEST(test_damage_hides_nothing_and_is_mended),
        SEARCH_TEST(test_what_the_index_says_wrongly_is_found_by_the_doctor),
        SEARCH_TEST(test_a_position_that_cannot_be_is_none),
        SEARCH_TEST(test_a_block_with_an_entry_that_cannot_be_read_is_not_passed_over),
        SEARCH_TEST(test_numbers_that_were_lost_are_in_no_answer),
        SEARCH_TEST(test_what_is_pruned_is_gone_and_the_rest_is_found),
        cmocka_unit_test(test_pruning_less_than_a_block_changes_nothing),
        SEARCH_TEST(test_names_that_cannot_be_are_refused),
        SEARCH_TEST(test_what_was_searched_for_is_in_the_trail),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
