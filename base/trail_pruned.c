#include "kluis/base/trail_pruned.h"

#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define MONTHS_OF_YEAR 12
#define DAYS_OF_LEAP_YEAR 366
#define POLICY_ACTION "policy_apply"
#define RESTORED_ACTION "data_restored"
#define ACTION_TEXT(action) "\"action\":\"" action "\""

bool kl_trail_keep_is_enough(const struct kl_duration *keep)
{
    return keep->months >= MONTHS_OF_YEAR || keep->days >= DAYS_OF_LEAP_YEAR;
}

/* ---- as text ---- */

void kl_trail_pruning_text(const struct kl_trail_pruning *pruning, struct kl_buf *ret)
{
    char root[KL_BASE64_CHARS(KL_MERKLE_HASH_BYTES) + 1];

    kl_base64(pruning->root, sizeof pruning->root, root);
    kl_buf_addf(ret, "kluis-audit-pruned-v1\n%s\n%llu\n%llu\n%s\n%llu\n%s\n%s\n%s\n%s\n",
                pruning->tenant, (unsigned long long)pruning->from,
                (unsigned long long)pruning->until, root, (unsigned long long)pruning->policy,
                pruning->keep_text, pruning->oldest, pruning->newest, pruning->at);
}

void kl_trail_pruning_write(const struct kl_trail_pruning *pruning, struct kl_json_out *out)
{
    kl_json_add_int(out, "from", (int64_t)pruning->from);
    kl_json_add_int(out, "until", (int64_t)pruning->until);
    kl_json_add_bytes(out, "root_hash", pruning->root, sizeof pruning->root);
    kl_json_add_int(out, "policy", (int64_t)pruning->policy);
    kl_json_add_text(out, "keep", pruning->keep_text);
    kl_json_add_text(out, "oldest_at", pruning->oldest);
    kl_json_add_text(out, "newest_at", pruning->newest);
    kl_json_add_bytes(out, "public_key", pruning->key, sizeof pruning->key);
    kl_json_add_bytes(out, "signature", pruning->signature, sizeof pruning->signature);
}

static bool holds_text(struct kl_slice entry, const char *text)
{
    return entry.size > 0 && memmem(entry.bytes, entry.size, text, strlen(text)) != NULL;
}

bool kl_trail_pruning_is(struct kl_slice entry)
{
    return holds_text(entry, ACTION_TEXT(KL_TRAIL_PRUNED_ACTION));
}

static bool take_number(const struct kl_json_value *value, const char *key, uint64_t *ret)
{
    int64_t number = -1;

    if (!kl_json_int(kl_json_member(value, key), &number) || number < 0) {
        return false;
    }
    *ret = (uint64_t)number;
    return true;
}

static bool take_time(const struct kl_json_value *value, const char *key,
                      char ret[KL_TIME_TEXT_BYTES], int64_t *ret_us)
{
    const char *text = kl_json_text(kl_json_member(value, key));

    if (text == NULL || strlen(text) >= KL_TIME_TEXT_BYTES ||
        kl_time_parse(text, strlen(text), ret_us, NULL) != KL_OK) {
        return false;
    }
    (void)snprintf(ret, KL_TIME_TEXT_BYTES, "%s", text);
    return true;
}

static bool take_keep(const struct kl_json_value *value, const char *key, struct kl_duration *ret,
                      char ret_text[KL_DURATION_TEXT_BYTES])
{
    const char *text = kl_json_text(kl_json_member(value, key));

    if (text == NULL || strlen(text) >= KL_DURATION_TEXT_BYTES ||
        kl_duration_parse(text, strlen(text), ret, NULL) != KL_OK) {
        return false;
    }
    (void)snprintf(ret_text, KL_DURATION_TEXT_BYTES, "%s", text);
    return true;
}

static bool pruning_take(const struct kl_json_value *root, const char *tenant,
                         struct kl_trail_pruning *ret)
{
    int64_t oldest_us = 0;

    (void)snprintf(ret->tenant, sizeof ret->tenant, "%s", tenant);
    return take_number(root, "from", &ret->from) && take_number(root, "until", &ret->until) &&
           kl_json_bytes(root, "root_hash", ret->root, sizeof ret->root) &&
           take_number(root, "policy", &ret->policy) &&
           take_keep(root, "keep", &ret->keep, ret->keep_text) &&
           take_time(root, "oldest_at", ret->oldest, &oldest_us) &&
           take_time(root, "newest_at", ret->newest, &ret->newest_us) &&
           take_time(root, "at", ret->at, &ret->at_us) &&
           kl_json_bytes(root, "public_key", ret->key, sizeof ret->key) &&
           kl_json_bytes(root, "signature", ret->signature, sizeof ret->signature) &&
           oldest_us <= ret->newest_us && ret->from < ret->until;
}

static bool is_action(const struct kl_json_value *root, const char *action)
{
    const char *text = kl_json_text(kl_json_member(root, "action"));

    return text != NULL && strcmp(text, action) == 0;
}

enum kl_status kl_trail_pruning_read(struct kl_slice entry, const char *tenant,
                                     struct kl_trail_pruning *ret, struct kl_err *err)
{
    struct kl_trail_pruning pruning = {.from = 0};
    struct kl_json *json = NULL;
    enum kl_status status = KL_OK;

    if (!kl_trail_pruning_is(entry)) {
        return KL_ERR_NOT_FOUND;
    }
    if (kl_json_parse(entry.bytes, entry.size, &json, NULL) != KL_OK ||
        (is_action(kl_json_root(json), KL_TRAIL_PRUNED_ACTION) &&
         !pruning_take(kl_json_root(json), tenant, &pruning))) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_pruning",
                         "this does not say which entries of an audit trail went", NULL);
    } else if (!is_action(kl_json_root(json), KL_TRAIL_PRUNED_ACTION)) {
        status = KL_ERR_NOT_FOUND;
    }
    kl_json_free(json);
    if (status == KL_OK) {
        *ret = pruning;
    }
    return status;
}

bool kl_trail_pruning_holds(const struct kl_trail_pruning *pruning)
{
    struct kl_buf text;
    bool holds;

    kl_buf_init(&text, KL_TRAIL_PRUNED_TEXT_MAX_BYTES);
    kl_trail_pruning_text(pruning, &text);
    holds =
        kl_buf_status(&text, NULL) == KL_OK &&
        crypto_sign_verify_detached(pruning->signature, text.bytes, text.size, pruning->key) == 0;
    kl_buf_done(&text);
    return holds;
}

/* ---- lines of a copy ---- */

#define SEQ "{\"seq\":"
#define ENTRY ",\"entry\":"
#define LEAF ",\"leaf_hash\":\""

bool kl_trail_line_is(struct kl_slice line)
{
    return line.size >= sizeof SEQ - 1 && memcmp(line.bytes, SEQ, sizeof SEQ - 1) == 0;
}

bool kl_trail_line_read(struct kl_slice line, uint64_t *ret_number, struct kl_slice *ret_entry,
                        unsigned char ret_hash[KL_MERKLE_HASH_BYTES])
{
    const char *text = (const char *)line.bytes;
    const char *end = NULL;
    uint64_t number = 0;
    size_t left = 0;

    if (!kl_trail_line_is(line) || text[line.size - 1] != '}') {
        return false;
    }
    end = text + sizeof SEQ - 1;
    for (; *end >= '0' && *end <= '9' && number <= INT64_MAX / 10 - 1; end++) {
        number = number * 10 + (uint64_t)(*end - '0');
    }
    left = line.size - (size_t)(end - text);
    *ret_number = number;
    *ret_entry = kl_slice_of(NULL, 0);
    if (end == text + sizeof SEQ - 1) {
        return false;
    }
    if (left > sizeof ENTRY && memcmp(end, ENTRY, sizeof ENTRY - 1) == 0 &&
        end[sizeof ENTRY - 1] == '{' && text[line.size - 2] == '}') {
        *ret_entry = kl_slice_of(end + sizeof ENTRY - 1, left - sizeof ENTRY);
        return true;
    }
    return left == sizeof LEAF - 1 + KL_BASE64_CHARS(KL_MERKLE_HASH_BYTES) + 2 &&
           memcmp(end, LEAF, sizeof LEAF - 1) == 0 && text[line.size - 2] == '"' &&
           kl_base64_decode(end + sizeof LEAF - 1, KL_BASE64_CHARS(KL_MERKLE_HASH_BYTES), ret_hash,
                            KL_MERKLE_HASH_BYTES);
}

/* ---- policies ---- */

/* Those that are over for longer than a shortened period waits say nothing any more; of too many the oldest goes. */
static void policies_tidy(struct kl_trail_prunings *prunings, int64_t now_us)
{
    const struct kl_duration delay = {.days = KL_TRAIL_KEEP_DELAY_DAYS};
    size_t first = 0;

    while (first < prunings->policy_count &&
           (prunings->policy_count - first == KL_TRAIL_POLICIES_MAX ||
            (prunings->policies[first].over_us != INT64_MAX &&
             kl_time_add(prunings->policies[first].over_us, &delay) <= now_us))) {
        first++;
    }
    prunings->policy_count -= first;
    memmove(prunings->policies, prunings->policies + first,
            prunings->policy_count * sizeof prunings->policies[0]);
}

static void policy_see(struct kl_trail_prunings *prunings, const struct kl_json_value *root)
{
    struct kl_trail_policy policy = {.over_us = INT64_MAX};
    char text[KL_DURATION_TEXT_BYTES];
    const char *result = kl_json_text(kl_json_member(root, "result"));

    if (is_action(root, RESTORED_ACTION)) {
        prunings->policy_count = 0; /* what was applied in the lost part is in force and unknown */
        return;
    }
    if (!is_action(root, POLICY_ACTION) || result == NULL || strcmp(result, "ok") != 0 ||
        !take_number(root, "number", &policy.number) ||
        !take_time(root, "at", text, &policy.at_us)) {
        return;
    }
    policy.has_keep = take_keep(root, "audit_keep", &policy.keep, text);
    policies_tidy(prunings, policy.at_us);
    if (prunings->policy_count > 0) {
        prunings->policies[prunings->policy_count - 1].over_us = policy.at_us;
    }
    prunings->policies[prunings->policy_count++] = policy;
}

/* Whether a policy that counted then keeps what went: one that is seen, in force then, or over for less than the delay. */
static bool is_kept(struct kl_trail_prunings *prunings, const struct kl_trail_pruning *pruning)
{
    bool kept = false;

    policies_tidy(prunings, pruning->at_us);
    for (size_t i = 0; i < prunings->policy_count; i++) {
        const struct kl_trail_policy *policy = &prunings->policies[i];

        kept = kept || !policy->has_keep ||
               kl_time_add(pruning->newest_us, &policy->keep) > pruning->at_us;
    }
    return kept;
}

/* ---- judging ---- */

void kl_trail_prunings_begin(struct kl_trail_prunings *prunings, const char *tenant,
                             bool (*is_key)(void *context,
                                            const unsigned char key[KL_TRAIL_KEY_BYTES]),
                             void *context, struct kl_trail_findings *findings)
{
    *prunings = (struct kl_trail_prunings){
        .tenant = tenant, .is_key = is_key, .context = context, .findings = findings};
}

static void judge_times(struct kl_trail_prunings *prunings, uint64_t number,
                        const struct kl_trail_pruning *pruning)
{
    const struct kl_duration least = {.months = MONTHS_OF_YEAR};

    if (!kl_trail_keep_is_enough(&pruning->keep) ||
        kl_time_add(pruning->newest_us, &pruning->keep) > pruning->at_us ||
        kl_time_add(pruning->newest_us, &least) > pruning->at_us) {
        kl_trail_find(prunings->findings, "pruned_early", number, number + 1,
                      "entries up to %s were said to be over at %s, with a period of %s",
                      pruning->newest, pruning->at, pruning->keep_text);
    } else if (is_kept(prunings, pruning)) {
        kl_trail_find(prunings->findings, "pruned_early", number, number + 1,
                      "entries up to %s went at %s, and a policy of that day, or of less than %d "
                      "days before, keeps them",
                      pruning->newest, pruning->at, KL_TRAIL_KEEP_DELAY_DAYS);
    }
}

static void pruning_see(struct kl_trail_prunings *prunings, uint64_t number, struct kl_slice entry)
{
    struct kl_trail_pruning pruning;
    enum kl_status status = kl_trail_pruning_read(entry, prunings->tenant, &pruning, NULL);

    if (status == KL_ERR_NOT_FOUND) {
        return;
    }
    if (status != KL_OK || pruning.until > number || !kl_trail_pruning_holds(&pruning) ||
        !prunings->is_key(prunings->context, pruning.key)) {
        kl_trail_find(
            prunings->findings, "pruning_forged", number, number + 1,
            "the entry says that others went by a policy, and is not signed by the vault");
        return;
    }
    judge_times(prunings, number, &pruning);
    if (pruning.until > prunings->declared) {
        prunings->declared = pruning.until;
    }
    struct kl_trail_pruned_root *root =
        &prunings->roots[prunings->root_count++ % KL_TRAIL_PRUNINGS_MAX];
    *root = (struct kl_trail_pruned_root){.number = number, .until = pruning.until};
    memcpy(root->root, pruning.root, sizeof root->root);
}

void kl_trail_prunings_see(struct kl_trail_prunings *prunings, uint64_t number,
                           struct kl_slice entry)
{
    struct kl_json *json = NULL;

    if (kl_trail_pruning_is(entry)) {
        pruning_see(prunings, number, entry);
    } else if ((holds_text(entry, ACTION_TEXT(POLICY_ACTION)) ||
                holds_text(entry, ACTION_TEXT(RESTORED_ACTION))) &&
               kl_json_parse(entry.bytes, entry.size, &json, NULL) == KL_OK) {
        policy_see(prunings, kl_json_root(json));
        kl_json_free(json);
    }
}

void kl_trail_prunings_end(struct kl_trail_prunings *prunings, uint64_t pruned)
{
    if (pruned > prunings->declared) {
        kl_trail_find(prunings->findings, "pruned_undeclared", prunings->declared, pruned,
                      "these entries are said to have gone by a policy, and no entry of the trail "
                      "that the vault signed says so");
    }
}

void kl_trail_pruned_root_find(struct kl_trail_findings *findings,
                               const struct kl_trail_pruned_root *root)
{
    kl_trail_find(findings, "pruning_forged", root->number, root->number + 1,
                  "the entry says what tree the first %llu entries made, and they made another one",
                  (unsigned long long)root->until);
}
