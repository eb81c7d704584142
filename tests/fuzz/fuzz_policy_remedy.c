/*
 * Policies from outside, changed: whatever their layout, an edit stays within the text and alters the answer, and a policy is no different
 * from itself.
 */
#include "kluis/vault/policy_diff.h"
#include "vault/policy_remedy.h"

#include <assert.h>
#include <string.h>

#define SIZE_MAX_BYTES 4096
#define QUESTIONS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_edit(const struct kl_slice *text, const struct vault_explain_edit *edit)
{
    const size_t removed = strlen(edit->remove);

    assert(edit->line >= 1 && edit->column >= 1 && edit->where[0] == '/');
    assert(removed + strlen(edit->insert) > 0);
    if (text != NULL) {
        assert(edit->offset <= text->size && removed <= text->size - edit->offset);
        assert(memcmp(text->bytes + edit->offset, edit->remove, removed) == 0);
    }
}

/* The first edit of each is in the text itself; the next ones are in what that became. */
static void check_changes(const struct kl_slice *text, const struct vault_explain_result *result)
{
    assert(result->change_count <= VAULT_EXPLAIN_CHANGES_MAX &&
           result->must_happen_count <= VAULT_EXPLAIN_NEEDS_MAX);
    for (size_t i = 0; i < result->change_count; i++) {
        assert(result->changes[i].edit_count > 0);
        for (size_t j = 0; j < result->changes[i].edit_count; j++)
            check_edit(j == 0 ? text : NULL, &result->changes[i].edits[j]);
    }
}

static void ask(struct vault_policy *policy, struct kl_slice text, int number)
{
    static const struct vault_country places[] = {{"BE"}, {"US"}, {{0}}};
    struct kl_arena *arena = kl_arena_new(16 * 1024 * 1024);
    const int purposes = (int)vault_policy_purpose_count(policy);
    const struct vault_query query = {
        .role = number % (int)vault_policy_role_count(policy),
        .action = number % 2 == 0 ? VAULT_ACTION_READ : VAULT_ACTION_WRITE,
        .purpose = purposes == 0 ? VAULT_NONE : number % purposes,
        .credential_purposes = UINT64_MAX,
        .location = places[number % 3],
        .recipient = (int)vault_policy_recipient_count(policy) > number ? number : VAULT_NONE};
    struct vault_remedy remedy = {.policy = policy, .text = text, .query = &query, .arena = arena};
    struct vault_explain_result result = {0};
    const int field = number % (int)vault_policy_field_count(policy);

    assert(arena != NULL);
    assert(vault_remedy_find(&remedy, field, &result, NULL) == KL_OK);
    check_changes(&text, &result);
    kl_arena_free(arena);
}

static void compare(struct vault_policy *policy)
{
    struct vault_diff *diff = NULL;

    assert(vault_diff_new(policy, policy, 0, &diff, NULL) == KL_OK);
    assert(vault_diff_count(diff) == 0);
    vault_diff_free(diff);
    assert(vault_diff_new(NULL, policy, 0, &diff, NULL) == KL_OK);
    assert(vault_diff_extent(diff, false).answers == 0);
    vault_diff_free(diff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vault_findings findings;
    struct vault_policy *policy = NULL;

    if (size > SIZE_MAX_BYTES || vault_policy_parse(data, size, &findings, &policy, NULL) != KL_OK)
        return 0;
    if (vault_policy_role_count(policy) > 0 && vault_policy_field_count(policy) > 0) {
        compare(policy);
        for (int number = 0; number < QUESTIONS; number++)
            ask(policy, kl_slice_of(data, size), number);
    }
    vault_policy_unref(policy);
    return 0;
}
