#include "kluis/base/trail_check.h"

#include "kluis/base/trail.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kl_trail_find(struct kl_trail_findings *findings, const char *code, uint64_t from,
                   uint64_t until, const char *format, ...)
{
    va_list arguments;
    if (findings->count++ >= KL_TRAIL_FINDINGS_MAX)
        return;
    struct kl_trail_finding *finding = &findings->items[findings->count - 1];
    *finding = (struct kl_trail_finding){.code = code, .from = from, .until = until};
    va_start(arguments, format);
    (void)vsnprintf(finding->detail, sizeof finding->detail, format, arguments);
    va_end(arguments);
}

/* ---- which entry ---- */

/* The finding before, when it is of that kind and ends where this one begins: then it goes on. */
static bool goes_on(struct kl_trail_findings *findings, const char *code, uint64_t index)
{
    struct kl_trail_finding *last = NULL;
    if (findings->count == 0 || findings->count > KL_TRAIL_FINDINGS_MAX)
        return false;
    last = &findings->items[findings->count - 1];
    if (last->until != index || strcmp(last->code, code) != 0)
        return false;
    last->until++;
    return true;
}

static void suspect(struct kl_trail_check *check, const char *code, uint64_t index, uint64_t count,
                    const char *detail)
{
    if (count == 1 && goes_on(check->findings, code, index))
        return;
    kl_trail_find(check->findings, code, index, index + count, "%s", detail);
    check->suspects++;
}

static bool fits(const struct kl_trail_leaf *text, const struct kl_trail_leaf *stored)
{
    return text != NULL && stored != NULL && text->has_text && stored->has_stored &&
           memcmp(text->text, stored->stored, KL_MERKLE_HASH_BYTES) == 0;
}

/* The leaf whose stored hash fits this one's text, if texts moved by shift. */
static const struct kl_trail_leaf *moved(const struct kl_trail_leaf *before,
                                         const struct kl_trail_leaf *leaf,
                                         const struct kl_trail_leaf *behind, int shift)
{
    return shift < 0 ? before : shift > 0 ? behind : leaf;
}

/* before and behind: its neighbours; NULL: none. */
static void judge(struct kl_trail_check *check, const struct kl_trail_leaf *before,
                  const struct kl_trail_leaf *leaf, const struct kl_trail_leaf *behind)
{
    if (!leaf->has_text) {
        suspect(check, "entry_dropped", leaf->index, 1, "the entry is not there any more");
    } else if (!leaf->has_stored || fits(leaf, leaf)) {
        check->shift = 0;
    } else if (check->shift != 0 && (moved(before, leaf, behind, check->shift) == NULL ||
                                     fits(leaf, moved(before, leaf, behind, check->shift)))) {
        return; /* moved with those before it */
    } else if (fits(leaf, behind) && fits(behind, leaf)) {
        suspect(check, "entries_swapped", leaf->index, 2, "these two entries changed places");
        check->shift = -1; /* the second of them is not another finding */
    } else if (fits(leaf, behind)) {
        suspect(check, "entry_dropped", leaf->index, 1,
                "the entry was taken out, and those behind it moved up");
        check->shift = 1;
    } else if (fits(behind, leaf)) {
        suspect(check, "entry_inserted", leaf->index, 1,
                "the entry was put in, and those behind it moved down");
        check->shift = -1;
    } else {
        suspect(check, "entry_edited", leaf->index, 1, "the entry is not the one that was hashed");
        check->shift = 0;
    }
}

/* The one in the middle can be judged when both neighbours are known. */
static void window_push(struct kl_trail_check *check, const struct kl_trail_leaf *leaf)
{
    if (check->held == 3) {
        check->window[0] = check->window[1];
        check->window[1] = check->window[2];
        check->held = 2;
    }
    check->window[check->held++] = *leaf;
    if (check->held == 2)
        judge(check, NULL, &check->window[0], &check->window[1]);
    else if (check->held == 3)
        judge(check, &check->window[0], &check->window[1], &check->window[2]);
}

static void window_end(struct kl_trail_check *check)
{
    if (check->held > 0)
        judge(check, check->held > 1 ? &check->window[check->held - 2] : NULL,
              &check->window[check->held - 1], NULL);
    check->held = 0;
    check->shift = 0;
}

/* ---- entry by entry ---- */

void kl_trail_check_begin(struct kl_trail_check *check, const struct kl_merkle_tree *start,
                          struct kl_trail_findings *findings)
{
    *check = (struct kl_trail_check){.of_texts = *start,
                                     .of_stored = *start,
                                     .texts_whole = true,
                                     .stored_whole = true,
                                     .findings = findings};
}

void kl_trail_check_leaf(struct kl_trail_check *check, const struct kl_trail_leaf *leaf)
{
    assert(leaf->index == check->of_texts.size);
    kl_merkle_append(&check->of_texts, leaf->has_text ? leaf->text : leaf->stored);
    kl_merkle_append(&check->of_stored, leaf->has_stored ? leaf->stored : leaf->text);
    check->texts_whole = check->texts_whole && leaf->has_text;
    check->stored_whole = check->stored_whole && leaf->has_stored;
    window_push(check, leaf);
}

void kl_trail_check_lost(struct kl_trail_check *check, uint64_t count)
{
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    window_end(check);
    kl_merkle_leaf(kl_slice_text(KL_TRAIL_LOST_ENTRY), leaf);
    kl_merkle_fill(&check->of_texts, count, leaf);
    kl_merkle_fill(&check->of_stored, count, leaf);
}

void kl_trail_check_pruned(struct kl_trail_check *check,
                           const unsigned char stored[KL_MERKLE_HASH_BYTES])
{
    static const unsigned char none[KL_MERKLE_HASH_BYTES];
    const uint64_t index = check->of_texts.size;
    window_end(check);
    if (stored == NULL && !goes_on(check->findings, "tree_damaged", index))
        kl_trail_find(check->findings, "tree_damaged", index, index + 1,
                      "the entry went by a policy, and the hash of it that stays cannot be read");
    check->has_hole = check->has_hole || stored == NULL;
    kl_merkle_append(&check->of_texts, stored == NULL ? none : stored);
    kl_merkle_append(&check->of_stored, stored == NULL ? none : stored);
    check->pruned = index + 1;
}

/* ---- whose fault ---- */

static bool is_root(const struct kl_merkle_tree *tree,
                    const unsigned char root[KL_MERKLE_HASH_BYTES])
{
    unsigned char own[KL_MERKLE_HASH_BYTES];
    kl_merkle_root(tree, own);
    return memcmp(own, root, sizeof own) == 0;
}

/* The entries are right: what was found is about the tree. */
static void blame_tree(struct kl_trail_check *check)
{
    for (size_t i = 0; i < check->findings->count && i < KL_TRAIL_FINDINGS_MAX; i++) {
        struct kl_trail_finding *finding = &check->findings->items[i];
        if (strncmp(finding->code, "entr", 4) == 0) {
            finding->code = "tree_damaged";
            (void)snprintf(
                finding->detail, sizeof finding->detail,
                "the entry is right, and the hash that the stored tree has of it is not");
        }
    }
}

void kl_trail_check_end(struct kl_trail_check *check,
                        const unsigned char root[KL_MERKLE_HASH_BYTES])
{
    bool by_texts = check->texts_whole && is_root(&check->of_texts, root);
    bool by_stored = is_root(&check->of_stored, root);
    window_end(check);
    if (check->has_hole)
        return; /* what is wrong was said, and nothing can be compared */
    if (by_texts) {
        if (check->suspects > 0)
            blame_tree(check);
        else if (!check->stored_whole)
            kl_trail_find(check->findings, "tree_damaged", 0, 0,
                          "the entries are right, and parts of the stored tree cannot be read");
    } else if (check->suspects == 0) {
        kl_trail_find(
            check->findings, "frontier_altered", 0, 0,
            "the entries, and the hashes of those that went by a policy, lead to another root than "
            "the signed head has: the frontier, or "
            "the entries and the stored tree together, were altered");
    } else if (!by_stored) {
        kl_trail_find(
            check->findings, "rewritten", 0, 0,
            "neither the entries nor the stored tree lead to the root of the signed head");
    }
}
