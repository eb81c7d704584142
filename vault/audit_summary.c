/* A period of the trail added up for whoever reviews it: who did what how often, and which credentials began, ended or were tried after that. */
#include "kluis/vault/review.h"

#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/audit_walk.h"
#include "vault/credentials.h"
#include "vault/hours.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/walks.h"
#include "vault/word_table.h"

#include <stdlib.h>
#include <string.h>

#define ACTION "audit_summary"
#define TRIED_ACTION "credential_refused"
#define WORDS_BYTES ((size_t)4 * 1024 * 1024)
#define ANSWER_MAX_BYTES ((size_t)8 * 1024 * 1024)
/* Of the tenant's credentials, how many are looked at to find those that the period concerns. */
#define CREDENTIALS_LOOKED_MAX 20000

/* One credential, role and action. subjects: entries that name one; fields: how many of them were shown. */
struct sum {
    uint64_t times;
    uint64_t refused;
    uint64_t out_of_hours;
    uint64_t subjects;
    uint64_t fields;
    int64_t first_us;
    int64_t last_us;
};

/* words: credential, role, action of the sums by their numbers. began_us, ended_us: the period of this piece. */
struct summing {
    struct vault *vault;
    const struct vault_caller *caller;
    uint64_t tenant;
    int64_t from_us;
    int64_t to_us;
    bool has_hours;
    struct vault_hours hours;
    uint64_t first;
    uint64_t next;
    uint64_t lost;
    uint64_t pruned_until; /* entries of lower numbers went by the policy */
    uint64_t counted;
    bool more; /* the period goes on behind this piece */
    bool
        goes_on; /* this piece does not begin where the period does: its first entry is still to be seen */
    int64_t began_us;
    int64_t ended_us;
    struct vault_word_table *words;
    struct sum *sums;
};

/* ---- the question ---- */

static enum kl_status take_input(struct summing *summing, const struct vault_summary_input *input,
                                 struct kl_err *err)
{
    bool has_zone = false;

    summing->from_us = input->from_us;
    summing->to_us = input->to_us;
    summing->began_us = input->from_us;
    summing->ended_us = input->to_us == 0 ? summing->caller->now_us : input->to_us;
    if (input->to_us != 0 && input->from_us > input->to_us) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_range", "from lies behind to", NULL);
    }
    summing->has_hours = input->hours != NULL;
    if (summing->has_hours && !vault_hours_parse(input->hours, &summing->hours, &has_zone)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_hours",
                       "hours are written HH:MM-HH:MM and a zone: 08:00-18:00 Europe/Brussels",
                       NULL);
    }
    if (input->entry >= 0) {
        summing->first = (uint64_t)input->entry;
        summing->goes_on = input->entry > 0;
        return KL_OK;
    }
    return vault_audit_first_from(summing->vault, summing->tenant, input->from_us, &summing->first,
                                  err);
}

/* ---- over the trail ---- */

static uint64_t fields_shown(const struct kl_json_value *root)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "shown"));
    const struct kl_json_value *block = NULL;
    uint64_t count = 0;

    while (kl_json_next(&iter, NULL, &block)) {
        count += kl_json_count(kl_json_member(block, "fields"));
    }
    return count;
}

static bool is_out_of_hours(const struct summing *summing, int64_t at_us)
{
    return summing->has_hours && (vault_hours_weekend(&summing->hours, at_us) ||
                                  !vault_hours_hold(&summing->hours, at_us));
}

static void count(struct summing *summing, struct sum *sum, const struct vault_audit_said *said)
{
    sum->first_us = sum->times == 0 || said->at_us < sum->first_us ? said->at_us : sum->first_us;
    sum->last_us = said->at_us > sum->last_us ? said->at_us : sum->last_us;
    sum->times++;
    sum->refused += said->refused;
    sum->out_of_hours += is_out_of_hours(summing, said->at_us);
    if (!said->refused) {
        sum->subjects += said->slot >= 0;
        sum->fields += fields_shown(said->root);
    }
}

/* Add one of the period. The table is full: the piece ends before it. */
static enum kl_status take(struct summing *summing, const struct vault_audit_said *said,
                           struct kl_err *err)
{
    const struct vault_words words = {.words = {said->credential, said->role, said->action}};
    size_t at = 0;
    enum kl_status status = vault_word_table_take(summing->words, &words, &at, err);

    if (status == KL_OK) {
        count(summing, &summing->sums[at], said);
        summing->counted++;
    } else if (status == KL_ERR_TOO_LARGE) {
        kl_err_clear(err);
        summing->more = true;
        status = KL_OK;
    }
    return status;
}

/* ret_past: no later entry can be of the period. */
static enum kl_status look_at(struct summing *summing, struct kl_slice entry, bool *ret_past,
                              struct kl_err *err)
{
    struct vault_audit_said said = {0};
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status != KL_OK) {
        return status;
    }
    *ret_past = summing->to_us != 0 && said.at_us >= summing->to_us &&
                said.at_us - summing->to_us > VAULT_AUDIT_DISORDER_US;
    if (!summing->more && said.at_us >= summing->from_us &&
        (summing->to_us == 0 || said.at_us < summing->to_us)) {
        status = take(summing, &said, err);
    }
    if (summing->goes_on && said.at_us > summing->began_us) {
        summing->began_us = said.at_us;
    }
    summing->goes_on = false;
    if (summing->more) {
        summing->ended_us = said.at_us;
    }
    vault_audit_said_done(&said);
    return status;
}

static enum kl_status go_over(struct summing *summing, struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    uint64_t seq = 0;
    size_t looked_at = 0;
    bool past = false;
    enum kl_status status =
        vault_audit_walk_begin(&walk, summing->vault, summing->tenant, summing->first, err);

    summing->next = summing->first;
    summing->pruned_until = walk.pruned_until;
    while (status == KL_OK && !past && !summing->more) {
        status = vault_audit_walk_next(&walk, &seq, &entry, err);
        if (status == KL_OK) {
            summing->more = looked_at == VAULT_SUMMARY_ENTRIES_MAX;
            status = look_at(summing, entry, &past, err);
        }
        if (status == KL_OK && !past) {
            summing->next = summing->more ? seq : seq + 1;
            summing->lost = walk.lost;
        }
        looked_at++;
    }
    vault_audit_walk_end(&walk);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

/* ---- the credentials that the period concerns ---- */

static bool is_within(const struct summing *summing, int64_t at_us)
{
    return at_us >= summing->began_us && at_us < summing->ended_us;
}

/* How often somebody is known to have tried it after its end. */
static uint64_t times_tried(const struct summing *summing, const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];
    uint64_t times = 0;
    size_t i;

    kl_id_format(VAULT_CREDENTIAL_PREFIX, id, text);
    for (i = 0; i < vault_word_table_count(summing->words); i++) {
        const struct vault_words *words = vault_word_table_at(summing->words, i);

        if (strcmp(words->words[2], TRIED_ACTION) == 0 && strcmp(words->words[0], text) == 0) {
            times += summing->sums[i].times;
        }
    }
    return times;
}

static void write_credential(const struct summing *summing,
                             const struct vault_credential_result *credential, uint64_t tried,
                             struct kl_json_out *out)
{
    bool revoked_within = credential->revoked_us != 0 && is_within(summing, credential->revoked_us);

    kl_json_object_begin(out);
    vault_credential_write(out, credential);
    kl_json_add_bool(out, "made_in_period", is_within(summing, credential->created_us));
    kl_json_add_bool(out, "ended_in_period",
                     revoked_within || is_within(summing, credential->expires_us));
    kl_json_add_int(out, "tried_after_end", (int64_t)tried);
    kl_json_object_end(out);
}

/* One row of the list of credentials: written when the period concerns it. */
static enum kl_status look_at_credential(struct summing *summing, struct kl_slice mac,
                                         struct kl_arena *scratch, struct kl_json_out *out,
                                         size_t *written, struct kl_err *err)
{
    struct vault_credential *credential = NULL;
    struct vault_credential_result shown;
    uint64_t tried = 0;
    bool concerned = false;
    enum kl_status status = mac.size == KMS_MAC_BYTES
                                ? vault_credential_load(summing->vault, mac.bytes, &credential, err)
                                : kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                                          "the row of a credential is damaged", NULL);

    if (status == KL_OK) {
        tried = times_tried(summing, &credential->id);
        concerned = tried > 0 || is_within(summing, credential->created_us) ||
                    is_within(summing, credential->expires_us) ||
                    (credential->revoked_us != 0 && is_within(summing, credential->revoked_us));
    }
    if (status == KL_OK && concerned) {
        kl_arena_reset(scratch);
        status = vault_credential_describe(summing->vault, credential, scratch, &shown, err);
        if (status == KL_OK) {
            write_credential(summing, &shown, tried, out);
            (*written)++;
        }
    }
    vault_credential_unref(credential);
    return status;
}

static enum kl_status write_credentials(struct summing *summing, struct kl_json_out *out,
                                        struct kl_err *err)
{
    static const struct kl_id lowest = {{0}};
    struct vault_row_key all = vault_row_credential_id(summing->tenant, &lowest);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_arena *scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct kl_slice key;
    struct kl_slice mac;
    size_t looked_at = 0;
    size_t written = 0;
    bool more = false;
    enum kl_status status = KL_OK;

    all.size -= KL_ID_BYTES;
    past = vault_row_past(&all);
    iter = vault_iter_new(summing->vault->data_store, vault_row_slice(&all), vault_row_slice(&past),
                          false);
    kl_json_key(out, "credentials");
    kl_json_array_begin(out);
    status = iter == NULL || scratch == NULL ? kl_fail_memory(err) : KL_OK;
    while (status == KL_OK && vault_iter_next(iter, &key, &mac)) {
        more = looked_at++ == CREDENTIALS_LOOKED_MAX || written == VAULT_SUMMARY_CREDENTIALS_MAX;
        if (more) {
            break;
        }
        status = look_at_credential(summing, mac, scratch, out, &written, err);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    kl_json_array_end(out);
    kl_json_add_bool(out, "credentials_more", more);
    vault_iter_free(iter);
    kl_arena_free(scratch);
    return status;
}

/* ---- the answer ---- */

static void write_sum(const struct summing *summing, size_t i, struct kl_json_out *out)
{
    const struct vault_words *words = vault_word_table_at(summing->words, i);
    const struct sum *sum = &summing->sums[i];

    kl_json_object_begin(out);
    kl_json_add_text(out, "credential", words->words[0][0] == '\0' ? NULL : words->words[0]);
    kl_json_add_text(out, "role", words->words[1][0] == '\0' ? NULL : words->words[1]);
    kl_json_add_text(out, "action", words->words[2]);
    kl_json_add_int(out, "times", (int64_t)sum->times);
    kl_json_add_int(out, "refused", (int64_t)sum->refused);
    kl_json_key(out, "out_of_hours");
    if (summing->has_hours) {
        kl_json_put_int(out, (int64_t)sum->out_of_hours);
    } else {
        kl_json_put_null(out);
    }
    kl_json_add_int(out, "subjects", (int64_t)sum->subjects);
    kl_json_add_int(out, "fields", (int64_t)sum->fields);
    kl_json_add_time(out, "first_at", sum->first_us);
    kl_json_add_time(out, "last_at", sum->last_us);
    kl_json_object_end(out);
}

static enum kl_status write(struct summing *summing, struct kl_json_out *out, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    kl_json_object_begin(out);
    kl_json_add_time(out, "from", summing->began_us);
    kl_json_add_time(out, "to", summing->ended_us);
    kl_json_key(out, "entries");
    kl_json_object_begin(out);
    kl_json_add_int(out, "from", (int64_t)summing->first);
    kl_json_add_int(out, "to", (int64_t)summing->next);
    kl_json_add_int(out, "counted", (int64_t)summing->counted);
    kl_json_add_int(out, "lost", (int64_t)summing->lost);
    kl_json_add_int(out, "pruned_until", (int64_t)summing->pruned_until);
    kl_json_object_end(out);
    kl_json_key(out, "acts");
    kl_json_array_begin(out);
    for (i = 0; i < vault_word_table_count(summing->words); i++) {
        write_sum(summing, i, out);
    }
    kl_json_array_end(out);
    status = write_credentials(summing, out, err);
    kl_json_key(out, "next_entry");
    if (summing->more) {
        kl_json_put_int(out, (int64_t)summing->next);
    } else {
        kl_json_put_null(out);
    }
    kl_json_object_end(out);
    return status;
}

static enum kl_status audit(const struct summing *summing, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(summing->caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, summing->tenant, &who, ACTION);
    kl_json_add_int(&act.out, "from", (int64_t)summing->first);
    kl_json_add_int(&act.out, "to", (int64_t)summing->next);
    status = vault_act_commit(summing->vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status sum_up(struct summing *summing, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_buf text;
    struct kl_json_out out = kl_json_out(&text);
    enum kl_status status = KL_OK;

    kl_buf_init(&text, ANSWER_MAX_BYTES);
    status = go_over(summing, err);
    if (status == KL_OK) {
        status = write(summing, &out, err);
    }
    if (status == KL_OK) {
        status = kl_buf_status(&text, err);
    }
    if (status == KL_OK) {
        status = audit(summing, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, text.bytes, text.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_audit_summary(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_summary_input *input, struct kl_buf *ret,
                                   struct kl_err *err)
{
    struct summing summing = {.vault = vault, .caller = caller};
    enum kl_status status = vault_act_own_trail(vault, caller, ACTION, &summing.tenant, err);

    if (status == KL_OK) {
        status = vault_walks_take(vault, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = take_input(&summing, input, err);
    if (status != KL_OK) {
        goto out;
    }
    summing.words = vault_word_table_new(VAULT_SUMMARY_ROWS_MAX, WORDS_BYTES);
    summing.sums = calloc(VAULT_SUMMARY_ROWS_MAX, sizeof summing.sums[0]);
    status = summing.words == NULL || summing.sums == NULL ? kl_fail_memory(err)
                                                           : sum_up(&summing, ret, err);

out:
    vault_word_table_free(summing.words);
    free(summing.sums);
    vault_walks_give(vault);
    return status;
}
