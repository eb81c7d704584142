/* A trail that was saved, checked without a server. */
#include "cli/trail_verify.h"

#include "cli/common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOST_RANGES_MAX 65536
#define LINE_MAX_BYTES (8 * 1024 * 1024) /* a chain of keys is the longest */

struct lost_range {
    uint64_t from;
    uint64_t until;
};

/* pruned: trees that entries say were pruned, by their sizes; pruned_next: the first that was not come to. */
struct copy {
    struct cli_trail_verify *verify;
    struct kl_json *keys;
    struct lost_range *lost;
    size_t lost_count;
    struct kl_trail_pruned_root roots[KL_TRAIL_PRUNINGS_MAX];
    size_t root_count;
    size_t root_next;
    bool stopped; /* a number is missing: nothing behind it can be compared */
};

static enum kl_status not_a_copy(struct cli_trail_verify *verify, const char *file, size_t line)
{
    return kl_failf(&verify->call->err, KL_ERR_INVALID, "invalid_copy",
                    "%s: line %zu is no entry, hash, head, chain of keys or range of lost numbers",
                    file, line);
}

/* ---- lines ---- */

typedef enum kl_status (*line_visit)(struct copy *copy, struct kl_slice line, bool *ret_known);

static enum kl_status each_line(struct copy *copy, const char *path, line_visit visit)
{
    struct cli_trail_verify *verify = copy->verify;
    char *line = NULL;
    size_t room = 0;
    ssize_t size = 0;
    size_t number = 0;
    enum kl_status status = KL_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return kl_failf(&verify->call->err, KL_ERR_IO, "file_error", "%s cannot be read", path);
    while (status == KL_OK && (size = getline(&line, &room, file)) > 0) {
        bool known = true;
        number++;
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            line[--size] = '\0';
        if (size > LINE_MAX_BYTES)
            status = not_a_copy(verify, path, number);
        else if (size > 0)
            status = visit(copy, kl_slice_of(line, (size_t)size), &known);
        if (status == KL_OK && !known)
            status = not_a_copy(verify, path, number);
    }
    if (status == KL_OK && ferror(file) != 0)
        status = kl_failf(&verify->call->err, KL_ERR_IO, "file_error", "%s cannot be read", path);
    free(line);
    (void)fclose(file);
    return status;
}

/* ---- what is not an entry ---- */

static enum kl_status lost_add(struct copy *copy, const struct kl_json_value *range,
                               bool *ret_known)
{
    int64_t from = -1;
    int64_t until = -1;
    *ret_known = kl_json_int(kl_json_member(range, "from"), &from) &&
                 kl_json_int(kl_json_member(range, "until"), &until) && from >= 0 && from < until &&
                 copy->lost_count < LOST_RANGES_MAX;
    if (!*ret_known)
        return KL_OK;
    struct lost_range *lost = reallocarray(copy->lost, copy->lost_count + 1, sizeof *lost);
    if (lost == NULL)
        return kl_fail_memory(&copy->verify->call->err);
    copy->lost = lost;
    copy->lost[copy->lost_count++] = (struct lost_range){(uint64_t)from, (uint64_t)until};
    return KL_OK;
}

/* The newest of all heads is the one that is checked; of equal ones the first. */
static enum kl_status newest_head(struct copy *copy, struct kl_slice line, bool *ret_known)
{
    struct cli_trail_verify *verify = copy->verify;
    const struct kl_json_value *root = NULL;
    struct kl_json *json = NULL;
    struct kl_trail_head head;
    if (kl_trail_line_is(line))
        return KL_OK;
    *ret_known = kl_json_parse(line.bytes, line.size, &json, NULL) == KL_OK;
    root = kl_json_root(json);
    enum kl_status status = KL_OK;
    if (!*ret_known)
        return KL_OK;
    if (kl_json_type(kl_json_member(root, "lost")) == KL_JSON_OBJECT) {
        status = lost_add(copy, kl_json_member(root, "lost"), ret_known);
    } else if (kl_json_type(kl_json_member(root, "links")) == KL_JSON_ARRAY && copy->keys == NULL) {
        copy->keys = json;
        json = NULL;
    } else if (kl_trail_head_read(root, &head, NULL) == KL_OK) {
        if (verify->head.at[0] == '\0' || head.size > verify->head.size)
            verify->head = head;
    } else {
        *ret_known = false;
    }
    kl_json_free(json);
    return status;
}

/* Other heads are compared; declarations of what went are judged, so that it is known at which sizes to compare what they say. */
static enum kl_status other_lines(struct copy *copy, struct kl_slice line, bool *ret_known)
{
    struct cli_trail_verify *verify = copy->verify;
    unsigned char hash[KL_MERKLE_HASH_BYTES];
    struct kl_slice entry;
    struct kl_json *json = NULL;
    struct kl_trail_head head;
    uint64_t number = 0;
    enum kl_status status = KL_OK;
    if (kl_trail_line_is(line)) {
        *ret_known = kl_trail_line_read(line, &number, &entry, hash);
        if (*ret_known && entry.size > 0 && number < verify->head.size)
            kl_trail_prunings_see(&verify->prunings, number, entry);
        return KL_OK;
    }
    if (kl_json_parse(line.bytes, line.size, &json, NULL) == KL_OK &&
        kl_trail_head_read(kl_json_root(json), &head, NULL) == KL_OK &&
        strcmp(head.tenant, verify->head.tenant) == 0 &&
        memcmp(&head, &verify->head, sizeof head) != 0)
        status = cli_trail_verify_take_kept(verify, &head);
    kl_json_free(json);
    return status;
}

/* ---- entries ---- */

static void compare_roots(struct copy *copy)
{
    struct cli_trail_verify *verify = copy->verify;
    unsigned char own[KL_MERKLE_HASH_BYTES];
    uint64_t size = verify->check.of_texts.size;
    for (; copy->root_next < copy->root_count && copy->roots[copy->root_next].until <= size;
         copy->root_next++) {
        const struct kl_trail_pruned_root *root = &copy->roots[copy->root_next];
        kl_merkle_root(&verify->check.of_texts, own);
        if (root->until != size || memcmp(own, root->root, sizeof own) != 0)
            kl_trail_pruned_root_find(&verify->findings, root);
    }
}

/* Numbers that the copy does not have, up to and without until: lost ones, or it is not whole. */
static void pass_to(struct copy *copy, uint64_t until)
{
    struct cli_trail_verify *verify = copy->verify;
    while (!copy->stopped && verify->check.of_texts.size < until) {
        uint64_t at = verify->check.of_texts.size;
        size_t i = 0;
        while (i < copy->lost_count && (at < copy->lost[i].from || at >= copy->lost[i].until))
            i++;
        if (i == copy->lost_count) {
            kl_trail_find(&verify->findings,
                          until < verify->head.size ? "entry_dropped" : "truncated", at, until,
                          "the copy has none of these");
            copy->stopped = true;
        } else {
            cli_trail_verify_pass_lost(verify,
                                       copy->lost[i].until < until ? copy->lost[i].until : until);
        }
    }
}

static enum kl_status take_line(struct copy *copy, struct kl_slice line, bool *ret_known)
{
    struct cli_trail_verify *verify = copy->verify;
    struct kl_trail_leaf leaf = {.has_text = true};
    unsigned char hash[KL_MERKLE_HASH_BYTES];
    struct kl_slice entry;
    if (copy->stopped || !kl_trail_line_is(line))
        return KL_OK;
    *ret_known = kl_trail_line_read(line, &leaf.index, &entry, hash);
    if (!*ret_known || leaf.index >= verify->head.size)
        return KL_OK;
    pass_to(copy, leaf.index);
    if (copy->stopped)
        return KL_OK;
    if (leaf.index < verify->check.of_texts.size) {
        kl_trail_find(&verify->findings, "entry_inserted", leaf.index, leaf.index + 1,
                      "the copy has this number twice, or not in its place");
        copy->stopped = true;
        return KL_OK;
    }
    if (entry.size > 0) {
        kl_merkle_leaf(entry, leaf.text);
        kl_trail_check_leaf(&verify->check, &leaf);
        verify->entries++;
    } else {
        kl_trail_check_pruned(&verify->check, hash);
        verify->pruned++;
    }
    cli_trail_verify_at_size(verify);
    compare_roots(copy);
    return KL_OK;
}

static int by_until(const void *one, const void *other)
{
    const struct kl_trail_pruned_root *a = one;
    const struct kl_trail_pruned_root *b = other;
    return a->until < b->until ? -1 : a->until > b->until;
}

static void take_roots(struct copy *copy)
{
    const struct kl_trail_prunings *prunings = &copy->verify->prunings;
    copy->root_count =
        prunings->root_count < KL_TRAIL_PRUNINGS_MAX ? prunings->root_count : KL_TRAIL_PRUNINGS_MAX;
    memcpy(copy->roots, prunings->roots, sizeof copy->roots);
    if (copy->root_count > 0)
        qsort(copy->roots, copy->root_count, sizeof copy->roots[0], by_until);
}

static void files_end(struct copy *copy)
{
    struct cli_trail_verify *verify = copy->verify;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    pass_to(copy, verify->head.size);
    if (copy->stopped)
        return;
    kl_merkle_root(&verify->check.of_texts, root);
    if (memcmp(root, verify->head.root, sizeof root) != 0)
        kl_trail_find(
            &verify->findings, "rewritten", 0, verify->head.size,
            "the entries of the copy do not lead to the root of its head: one of them was "
            "edited, put in or taken out");
    kl_trail_prunings_end(&verify->prunings, verify->check.pruned);
}

static enum kl_status each_file(struct copy *copy, const char *const *files, int count,
                                line_visit visit)
{
    enum kl_status status = KL_OK;
    for (int i = 0; status == KL_OK && i < count; i++)
        status = each_line(copy, files[i], visit);
    return status;
}

static enum kl_status files_run(struct copy *copy, const char *const *files, int count)
{
    struct cli_trail_verify *verify = copy->verify;
    enum kl_status status = each_file(copy, files, count, newest_head);
    if (status == KL_OK && verify->head.at[0] == '\0')
        return kl_fail(&verify->call->err, KL_ERR_INVALID, "head_missing",
                       "none of the files has a head: without one, entries prove nothing", NULL);
    if (status == KL_OK) {
        cli_trail_verify_check_head(verify);
        memcpy(verify->first_key, verify->head.key, sizeof verify->first_key);
        if (copy->keys != NULL)
            status = cli_trail_verify_take_keys(verify, kl_json_root(copy->keys));
        cli_trail_verify_begin(verify);
    }
    if (status == KL_OK)
        status = each_file(copy, files, count, other_lines);
    if (status != KL_OK)
        return status;
    cli_trail_verify_sort_kept(verify);
    take_roots(copy);
    status = each_file(copy, files, count, take_line);
    if (status == KL_OK)
        files_end(copy);
    return status;
}

enum kl_status cli_trail_verify_files(struct cli_trail_verify *verify, const char *const *files,
                                      int count)
{
    struct copy *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return kl_fail_memory(&verify->call->err);
    copy->verify = verify;
    enum kl_status status = files_run(copy, files, count);
    free(copy->lost);
    kl_json_free(copy->keys);
    free(copy);
    return status;
}
