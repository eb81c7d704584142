#include "cli/trail_verify.h"

#include "cli/common.h"
#include "kluis/base/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096
#define PAGE_ENTRIES "1000"
#define STORE_ID_BYTES 33

void cli_trail_verify_done(struct cli_trail_verify *verify)
{
    free(verify->links);
    free(verify->kept);
    verify->links = NULL;
    verify->kept = NULL;
}

/* ---- asking ---- */

static enum kl_status get(struct cli_call *call, const struct cli_path *path,
                          struct kl_json **ret_json)
{
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "GET", path->text, NULL, &response);
    if (status != KL_OK)
        return status;
    status = kl_json_parse(response.body.bytes, response.body.size, ret_json, &call->err);
    cli_response_done(&response);
    return status;
}

static enum kl_status not_understood(struct cli_call *call)
{
    return kl_fail(&call->err, KL_ERR_INVALID, "unexpected_answer",
                   "the server's answer is not what was asked for", NULL);
}

static void query_number(struct cli_path *path, const char *name, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    cli_path_query(path, name, text);
}

static bool number_of(const struct kl_json_value *value, const char *key, uint64_t *ret)
{
    int64_t number = -1;
    if (!kl_json_int(kl_json_member(value, key), &number) || number < 0)
        return false;
    *ret = (uint64_t)number;
    return true;
}

static bool hash_text(const struct kl_json_value *value, unsigned char ret[KL_MERKLE_HASH_BYTES])
{
    const char *text = kl_json_text(value);
    return text != NULL && kl_base64_decode(text, strlen(text), ret, KL_MERKLE_HASH_BYTES);
}

static bool hash_of(const struct kl_json_value *value, const char *key,
                    unsigned char ret[KL_MERKLE_HASH_BYTES])
{
    return hash_text(kl_json_member(value, key), ret);
}

static bool hashes_of(const struct kl_json_value *value, struct kl_merkle_hash *ret,
                      size_t *ret_count)
{
    const struct kl_json_value *list = kl_json_member(value, "hashes");
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    size_t count = 0;
    if (kl_json_type(list) != KL_JSON_ARRAY)
        return false;
    while (kl_json_next(&iter, NULL, &item)) {
        if (count == KL_MERKLE_PROOF_MAX || !hash_text(item, ret[count++].bytes))
            return false;
    }
    *ret_count = count;
    return true;
}

/* ---- the head and its keys ---- */

static void check_keys(struct cli_trail_verify *verify,
                       const unsigned char in_use[KL_TRAIL_KEY_BYTES])
{
    const unsigned char *last = verify->first_key;
    if (verify->link_count > 0) {
        last = verify->links[verify->link_count - 1].new_key;
        if (memcmp(verify->links[0].old_key, verify->first_key, KL_TRAIL_KEY_BYTES) != 0)
            kl_trail_find(&verify->findings, "chain_broken", 0, 0,
                          "the chain does not begin with the first key");
    }
    if (memcmp(last, verify->head.key, KL_TRAIL_KEY_BYTES) != 0 ||
        memcmp(last, in_use, KL_TRAIL_KEY_BYTES) != 0)
        kl_trail_find(&verify->findings, "chain_broken", 0, 0,
                      "the chain of keys does not lead to the one that signed the head");
}

enum kl_status cli_trail_verify_take_keys(struct cli_trail_verify *verify,
                                          const struct kl_json_value *root)
{
    const struct kl_json_value *list = kl_json_member(root, "links");
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    size_t count = kl_json_count(list);
    const char *tenant = kl_json_text(kl_json_member(root, "tenant"));
    unsigned char in_use[KL_TRAIL_KEY_BYTES];
    if (count > KL_TRAIL_LINKS_MAX || !hash_of(root, "first_key", verify->first_key) ||
        !hash_of(root, "public_key", in_use) || tenant == NULL ||
        strcmp(tenant, verify->head.tenant) != 0)
        return not_understood(verify->call);
    verify->links = calloc(count + 1, sizeof *verify->links);
    if (verify->links == NULL)
        return kl_fail_memory(&verify->call->err);
    while (kl_json_next(&iter, NULL, &item)) {
        struct kl_trail_link *link = &verify->links[verify->link_count];
        if (kl_trail_link_read(item, verify->head.tenant, link, &verify->call->err) != KL_OK)
            return verify->call->err.status;
        if (!kl_trail_link_holds(link, verify->link_count == 0 ? NULL : link - 1))
            kl_trail_find(&verify->findings, "chain_broken", 0, 0,
                          "change %zu of the key is not signed by the keys it names, or does not "
                          "go on after the one before",
                          verify->link_count + 1);
        verify->link_count++;
    }
    check_keys(verify, in_use);
    return KL_OK;
}

static bool is_key_of_trail(const struct cli_trail_verify *verify,
                            const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    if (memcmp(verify->first_key, key, KL_TRAIL_KEY_BYTES) == 0)
        return true;
    for (size_t i = 0; i < verify->link_count; i++) {
        if (memcmp(verify->links[i].new_key, key, KL_TRAIL_KEY_BYTES) == 0)
            return true;
    }
    return false;
}

static bool is_key(void *context, const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    return is_key_of_trail(context, key);
}

void cli_trail_verify_begin(struct cli_trail_verify *verify)
{
    const struct kl_merkle_tree none = {0};
    kl_trail_check_begin(&verify->check, &none, &verify->findings);
    kl_trail_prunings_begin(&verify->prunings, verify->head.tenant, is_key, verify,
                            &verify->findings);
}

void cli_trail_verify_check_head(struct cli_trail_verify *verify)
{
    if (!kl_trail_head_holds(&verify->head))
        kl_trail_find(&verify->findings, "head_unsigned", 0, 0,
                      "the signature of the head is not right");
}

enum kl_status cli_trail_verify_head(struct cli_trail_verify *verify)
{
    struct kl_json *json = NULL;
    struct cli_path path;
    cli_path_start(&path, "/v1/audit/head");
    enum kl_status status = get(verify->call, &path, &json);
    if (status == KL_OK)
        status = kl_trail_head_read(kl_json_root(json), &verify->head, &verify->call->err);
    kl_json_free(json);
    if (status != KL_OK)
        return status;
    cli_trail_verify_check_head(verify);
    json = NULL;
    cli_path_start(&path, "/v1/audit/keys");
    status = get(verify->call, &path, &json);
    if (status == KL_OK)
        status = cli_trail_verify_take_keys(verify, kl_json_root(json));
    kl_json_free(json);
    return status;
}

enum kl_status cli_trail_verify_key(struct cli_trail_verify *verify, const char *text)
{
    unsigned char key[KL_TRAIL_KEY_BYTES];
    if (!kl_base64_decode(text, strlen(text), key, sizeof key))
        return kl_fail(&verify->call->err, KL_ERR_INVALID, "invalid_key",
                       "--known-key is a public key in base64url", NULL);
    if (!is_key_of_trail(verify, key))
        kl_trail_find(&verify->findings, "key_unknown", 0, 0,
                      "no chain of signatures leads from the key of --known-key to this head");
    return KL_OK;
}

/* ---- heads that were kept ---- */

static enum kl_status keep(struct cli_trail_verify *verify, const struct kl_trail_head *head)
{
    if (verify->kept_count == CLI_TRAIL_KEPT_MAX)
        return kl_failf(&verify->call->err, KL_ERR_TOO_LARGE, "too_many_heads",
                        "at most %d heads of one trail are compared", CLI_TRAIL_KEPT_MAX);
    struct kl_trail_head *kept =
        reallocarray(verify->kept, verify->kept_count + 1, sizeof *verify->kept);
    if (kept == NULL)
        return kl_fail_memory(&verify->call->err);
    verify->kept = kept;
    verify->kept[verify->kept_count++] = *head;
    return KL_OK;
}

/* What can be said of a head without the entries. */
enum kl_status cli_trail_verify_take_kept(struct cli_trail_verify *verify,
                                          const struct kl_trail_head *head)
{
    if (!kl_trail_head_holds(head)) {
        kl_trail_find(&verify->findings, "head_unsigned", 0, 0,
                      "the signature of the kept head of size %" PRIu64 " is not right",
                      head->size);
        return KL_OK;
    }
    if (!is_key_of_trail(verify, head->key))
        kl_trail_find(&verify->findings, "key_unknown", 0, 0,
                      "no chain of signatures leads from the key of the kept head of size %" PRIu64
                      " to the one in use",
                      head->size);
    if (head->size > verify->head.size) {
        kl_trail_find(&verify->findings, "truncated", verify->head.size, head->size,
                      "a head of %s has %" PRIu64 " entries, the trail now %" PRIu64, head->at,
                      head->size, verify->head.size);
        return KL_OK;
    }
    return head->size == 0 ? KL_OK : keep(verify, head);
}

/* Of which store this is, for files that heads of several are published in; empty when it cannot be known. */
static void store_of(struct cli_trail_verify *verify, char ret[STORE_ID_BYTES])
{
    struct kl_json *json = NULL;
    struct cli_path path;
    cli_path_start(&path, "/v1/keys");
    ret[0] = '\0';
    if (get(verify->call, &path, &json) == KL_OK) {
        const char *text = kl_json_text(kl_json_member(kl_json_root(json), "store_id"));
        (void)snprintf(ret, STORE_ID_BYTES, "%s", text == NULL ? "" : text);
    }
    kl_json_free(json);
    kl_err_clear(&verify->call->err);
}

static enum kl_status take_line(struct cli_trail_verify *verify, const char *store,
                                const char *line, size_t size)
{
    struct kl_json *json = NULL;
    struct kl_trail_head head;
    const char *of = NULL;
    enum kl_status status = kl_json_parse(line, size, &json, NULL);
    if (status == KL_OK)
        status = kl_trail_head_read(kl_json_root(json), &head, NULL);
    if (status == KL_OK)
        of = kl_json_text(kl_json_member(kl_json_root(json), "store"));
    if (status == KL_OK && strcmp(head.tenant, verify->head.tenant) == 0 &&
        (of == NULL || store[0] == '\0' || strcmp(of, store) == 0))
        status = cli_trail_verify_take_kept(verify, &head);
    kl_json_free(json);
    return status == KL_ERR_INVALID
               ? kl_fail(&verify->call->err, KL_ERR_INVALID, "invalid_head",
                         "the file of --from has a line that is no head of an audit trail", NULL)
               : status;
}

static int by_size(const void *one, const void *other)
{
    const struct kl_trail_head *a = one;
    const struct kl_trail_head *b = other;
    return a->size < b->size ? -1 : a->size > b->size;
}

void cli_trail_verify_sort_kept(struct cli_trail_verify *verify)
{
    if (verify->kept_count > 0)
        qsort(verify->kept, verify->kept_count, sizeof *verify->kept, by_size);
}

/* A last line without its end is one that is being written, or was cut short by a crash. */
enum kl_status cli_trail_verify_kept(struct cli_trail_verify *verify, const char *path)
{
    char line[LINE_MAX_BYTES];
    char store[STORE_ID_BYTES];
    enum kl_status status = KL_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return kl_fail(&verify->call->err, KL_ERR_IO, "file_error",
                       "the file of --from cannot be read", NULL);
    store_of(verify, store);
    while (status == KL_OK && fgets(line, sizeof line, file) != NULL) {
        size_t size = strcspn(line, "\n");
        bool whole = line[size] == '\n';
        line[size] = '\0';
        if (size > 0 && (whole || !feof(file) || line[size - 1] == '}'))
            status = take_line(verify, store, line, size);
    }
    if (status == KL_OK && ferror(file) != 0)
        status = kl_fail(&verify->call->err, KL_ERR_IO, "file_error",
                         "the file of --from cannot be read", NULL);
    (void)fclose(file);
    cli_trail_verify_sort_kept(verify);
    return status;
}

static void find_fork(struct cli_trail_verify *verify, const struct kl_trail_head *kept)
{
    kl_trail_find(&verify->findings, "fork", 0, kept->size,
                  "the head of %s with %" PRIu64
                  " entries is not of this trail, which now has %" PRIu64
                  ": entries before number %" PRIu64 " were rewritten",
                  kept->at, kept->size, verify->head.size, kept->size);
}

static void find_lost(struct cli_trail_verify *verify, const struct kl_trail_head *kept,
                      uint64_t from, uint64_t until)
{
    kl_trail_find(&verify->findings, "older_data_restored", from, kept->size,
                  "the head of %s with %" PRIu64
                  " entries is of a data directory that an older one was put in the place of: "
                  "numbers %" PRIu64 " to %" PRIu64 " are lost",
                  kept->at, kept->size, from, until - 1);
}

/* ---- from a head that was kept ---- */

/* A proof is asked for and has the hashes; a server that cannot give it is a finding. ret_given: it did. */
static enum kl_status ask_proof(struct cli_trail_verify *verify, const struct cli_path *path,
                                struct kl_json **ret_json, struct kl_merkle_hash *ret_proof,
                                size_t *ret_count, bool *ret_given)
{
    struct cli_call *call = verify->call;
    enum kl_status status = get(call, path, ret_json);
    if (status == KL_ERR_REFUSED && strcmp(call->err.code, "audit_tile_damaged") == 0) {
        kl_trail_find(&verify->findings, "tree_damaged", 0, 0,
                      "the vault cannot prove what it says: its stored tree is damaged");
        kl_err_clear(&call->err);
        *ret_given = false;
        return KL_OK;
    }
    if (status == KL_OK && !hashes_of(kl_json_root(*ret_json), ret_proof, ret_count))
        status = not_understood(call);
    *ret_given = status == KL_OK;
    return status;
}

/* Whether a lost range holds that number, as the vault says. */
static enum kl_status lost_range(struct cli_trail_verify *verify, uint64_t number,
                                 uint64_t *ret_from, uint64_t *ret_until)
{
    const struct kl_json_value *item = NULL;
    struct kl_json *json = NULL;
    struct cli_path path;
    cli_path_start(&path, "/v1/audit/entries");
    query_number(&path, "from", number);
    cli_path_query(&path, "limit", "1");
    enum kl_status status = get(verify->call, &path, &json);
    *ret_until = 0;
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), "lost"));
         status == KL_OK && kl_json_next(&iter, NULL, &item);) {
        uint64_t from = 0;
        uint64_t until = 0;
        if (number_of(item, "from", &from) && number_of(item, "until", &until) && from <= number &&
            number < until) {
            *ret_from = from;
            *ret_until = until;
        }
    }
    kl_json_free(json);
    return status;
}

/*
 * The tree of a kept head, from the proof that its last entry is in it: the other hashes of that proof are all to the left, the perfect subtrees
 * of the entries before. ret_fits: the proof leads to the root of the head.
 */
static enum kl_status tree_of(struct cli_trail_verify *verify, const struct kl_trail_head *kept,
                              struct kl_merkle_tree *ret_tree, bool *ret_fits)
{
    struct kl_merkle_hash proof[KL_MERKLE_PROOF_MAX];
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    struct kl_json *json = NULL;
    struct cli_path path;
    size_t count = 0;
    bool given = false;
    cli_path_start(&path, "/v1/audit/proof");
    query_number(&path, "index", kept->size - 1);
    query_number(&path, "size", kept->size);
    enum kl_status status = ask_proof(verify, &path, &json, proof, &count, &given);
    *ret_fits = status == KL_OK && given && hash_of(kl_json_root(json), "leaf_hash", leaf) &&
                kl_merkle_includes(kept->size - 1, kept->size, leaf, proof, count, kept->root);
    kl_json_free(json);
    if (!*ret_fits)
        return status;
    ret_tree->size = kept->size - 1;
    for (size_t i = 0; i < count; i++)
        memcpy(ret_tree->hashes[i], proof[count - 1 - i].bytes, KL_MERKLE_HASH_BYTES);
    kl_merkle_append(ret_tree, leaf);
    return status;
}

static enum kl_status skip_fails(struct cli_trail_verify *verify, const struct kl_trail_head *kept)
{
    uint64_t from = 0;
    uint64_t until = 0;
    enum kl_status status = lost_range(verify, kept->size - 1, &from, &until);
    if (status == KL_OK && until != 0)
        find_lost(verify, kept, from, until);
    else if (status == KL_OK)
        find_fork(verify, kept);
    return status;
}

/* That one kept head continues another. */
static enum kl_status check_continues(struct cli_trail_verify *verify,
                                      const struct kl_trail_head *from,
                                      const struct kl_trail_head *to)
{
    struct kl_merkle_hash proof[KL_MERKLE_PROOF_MAX];
    struct kl_json *json = NULL;
    struct cli_path path;
    size_t count = 0;
    bool given = false;
    cli_path_start(&path, "/v1/audit/consistency");
    query_number(&path, "from", from->size);
    query_number(&path, "to", to->size);
    enum kl_status status = ask_proof(verify, &path, &json, proof, &count, &given);
    if (status == KL_OK && given &&
        !kl_merkle_consistent(from->size, to->size, from->root, to->root, proof, count))
        status = skip_fails(verify, from);
    kl_json_free(json);
    return status;
}

enum kl_status cli_trail_verify_skip(struct cli_trail_verify *verify)
{
    struct kl_merkle_tree tree = {0};
    enum kl_status status = KL_OK;
    bool fits = false;
    size_t at = verify->kept_count;
    while (status == KL_OK && !fits && at > 0) {
        status = tree_of(verify, &verify->kept[--at], &tree, &fits);
        if (status == KL_OK && !fits)
            status = skip_fails(verify, &verify->kept[at]);
    }
    for (size_t i = 0; status == KL_OK && fits && i < at; i++)
        status = check_continues(verify, &verify->kept[i], &verify->kept[at]);
    verify->kept_next = verify->kept_count; /* all were looked at */
    verify->start = fits ? tree.size : 0;
    kl_trail_check_begin(&verify->check, &tree, &verify->findings);
    return status;
}

/* ---- entries ---- */

static bool is_root(const struct kl_merkle_tree *tree,
                    const unsigned char root[KL_MERKLE_HASH_BYTES])
{
    unsigned char own[KL_MERKLE_HASH_BYTES];
    kl_merkle_root(tree, own);
    return memcmp(own, root, sizeof own) == 0;
}

/* The entries have come to a size: what is known of it. Of entries that are not right the stored tree may still be. */
void cli_trail_verify_at_size(struct cli_trail_verify *verify)
{
    uint64_t size = verify->check.of_texts.size;
    for (; verify->kept_next < verify->kept_count && verify->kept[verify->kept_next].size == size;
         verify->kept_next++) {
        const struct kl_trail_head *kept = &verify->kept[verify->kept_next];
        if (!is_root(&verify->check.of_texts, kept->root) &&
            !is_root(&verify->check.of_stored, kept->root))
            find_fork(verify, kept);
    }
    if (((size & (size - 1)) == 0 || ((size - 1) & (size - 2)) == 0) && size < verify->head.size &&
        verify->size_count < CLI_TRAIL_SIZES) {
        struct cli_trail_root *at = &verify->sizes[verify->size_count++];
        at->size = size;
        kl_merkle_root(&verify->check.of_texts, at->root);
    }
}

/* Numbers that are lost, up to and without until. */
void cli_trail_verify_pass_lost(struct cli_trail_verify *verify, uint64_t until)
{
    uint64_t from = verify->check.of_texts.size;
    for (; verify->kept_next < verify->kept_count && verify->kept[verify->kept_next].size < until;
         verify->kept_next++)
        find_lost(verify, &verify->kept[verify->kept_next], from, until);
    kl_trail_check_lost(&verify->check, until - from);
    verify->lost += until - from;
    cli_trail_verify_at_size(verify);
}

static enum kl_status take_entry(struct cli_trail_verify *verify, const struct kl_json_value *item)
{
    struct kl_trail_leaf leaf = {0};
    const struct kl_json_value *text = kl_json_member(item, "text");
    if (!number_of(item, "index", &leaf.index) || leaf.index < verify->check.of_texts.size)
        return not_understood(verify->call);
    if (leaf.index >= verify->head.size)
        return KL_OK;
    if (leaf.index > verify->check.of_texts.size)
        cli_trail_verify_pass_lost(verify, leaf.index);
    leaf.has_text = kl_json_type(text) == KL_JSON_TEXT;
    leaf.has_stored = hash_of(item, "leaf_hash", leaf.stored);
    if (leaf.has_text) {
        struct kl_slice entry = kl_slice_of(kl_json_text(text), kl_json_text_bytes(text));
        kl_merkle_leaf(entry, leaf.text);
        kl_trail_prunings_see(&verify->prunings, leaf.index, entry);
    }
    kl_trail_check_leaf(&verify->check, &leaf);
    verify->entries++;
    cli_trail_verify_at_size(verify);
    return KL_OK;
}

/* Consecutive numbers whose entries went by the policy. */
static enum kl_status take_run(struct cli_trail_verify *verify, const struct kl_json_value *run)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(run, "leaf_hashes"));
    const struct kl_json_value *item = NULL;
    uint64_t from = 0;
    if (!number_of(run, "from", &from) || from < verify->check.of_texts.size)
        return not_understood(verify->call);
    if (from > verify->check.of_texts.size && from < verify->head.size)
        cli_trail_verify_pass_lost(verify, from);
    while (verify->check.of_texts.size < verify->head.size && kl_json_next(&iter, NULL, &item)) {
        unsigned char hash[KL_MERKLE_HASH_BYTES];
        kl_trail_check_pruned(&verify->check, hash_text(item, hash) ? hash : NULL);
        verify->pruned++;
        cli_trail_verify_at_size(verify);
    }
    return KL_OK;
}

static enum kl_status take_page(struct cli_trail_verify *verify, const struct kl_json_value *root)
{
    const struct kl_json_value *pruned = kl_json_member(root, "pruned");
    struct kl_json_iter runs = kl_json_iter(kl_json_member(pruned, "runs"));
    struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "entries"));
    const struct kl_json_value *item = NULL;
    enum kl_status status = KL_OK;
    uint64_t before = verify->check.of_texts.size;
    uint64_t next = 0;
    while (status == KL_OK && kl_json_next(&runs, NULL, &item))
        status = take_run(verify, item);
    while (status == KL_OK && kl_json_next(&iter, NULL, &item))
        status = take_entry(verify, item);
    if (status == KL_OK && !number_of(root, "next", &next))
        status = not_understood(verify->call);
    next = next < verify->head.size ? next : verify->head.size;
    if (status == KL_OK && next > verify->check.of_texts.size)
        cli_trail_verify_pass_lost(verify, next);
    return status == KL_OK && verify->check.of_texts.size == before ? not_understood(verify->call)
                                                                    : status;
}

enum kl_status cli_trail_verify_entries(struct cli_trail_verify *verify)
{
    enum kl_status status = KL_OK;
    while (status == KL_OK && verify->check.of_texts.size < verify->head.size) {
        struct kl_json *json = NULL;
        struct cli_path path;
        cli_path_start(&path, "/v1/audit/entries");
        query_number(&path, "from", verify->check.of_texts.size);
        cli_path_query(&path, "limit", PAGE_ENTRIES);
        status = get(verify->call, &path, &json);
        if (status == KL_OK)
            status = take_page(verify, kl_json_root(json));
        kl_json_free(json);
        if (status == KL_OK && !verify->call->quiet)
            cli_progress_show("verifying",
                              (double)verify->check.of_texts.size / (double)verify->head.size);
    }
    cli_progress_end();
    if (status == KL_OK) {
        kl_trail_check_end(&verify->check, verify->head.root);
        kl_trail_prunings_end(&verify->prunings, verify->check.pruned);
    }
    return status;
}

/* ---- proofs ---- */

/* Whether the trail's head goes on from a tree; a vault that cannot prove it has said why. */
static enum kl_status check_size(struct cli_trail_verify *verify, uint64_t size,
                                 const unsigned char root[KL_MERKLE_HASH_BYTES], bool *ret_holds)
{
    struct kl_merkle_hash proof[KL_MERKLE_PROOF_MAX];
    struct kl_json *json = NULL;
    struct cli_path path;
    size_t count = 0;
    bool given = false;
    cli_path_start(&path, "/v1/audit/consistency");
    query_number(&path, "from", size);
    query_number(&path, "to", verify->head.size);
    enum kl_status status = ask_proof(verify, &path, &json, proof, &count, &given);
    *ret_holds = !given || kl_merkle_consistent(size, verify->head.size, root, verify->head.root,
                                                proof, count);
    kl_json_free(json);
    return status;
}

/* The trees that entries of the trail say were pruned. */
static enum kl_status check_prunings(struct cli_trail_verify *verify)
{
    const struct kl_trail_prunings *prunings = &verify->prunings;
    enum kl_status status = KL_OK;
    for (size_t i = 0; status == KL_OK && i < prunings->root_count && i < KL_TRAIL_PRUNINGS_MAX;
         i++) {
        bool holds = true;
        status = check_size(verify, prunings->roots[i].until, prunings->roots[i].root, &holds);
        if (status == KL_OK && !holds)
            kl_trail_pruned_root_find(&verify->findings, &prunings->roots[i]);
    }
    return status;
}

enum kl_status cli_trail_verify_proofs(struct cli_trail_verify *verify)
{
    enum kl_status status = KL_OK;
    if (verify->findings.count > 0)
        return KL_OK; /* what is wrong is known better than by this */
    for (size_t i = 0; status == KL_OK && i < verify->size_count; i++) {
        const struct cli_trail_root *from = &verify->sizes[i];
        bool holds = true;
        status = check_size(verify, from->size, from->root, &holds);
        if (status == KL_OK && !holds)
            kl_trail_find(&verify->findings, "proof_wrong", 0, from->size,
                          "the entries are right, and what the vault proves of the first %" PRIu64
                          " is not: its stored tree is damaged",
                          from->size);
    }
    return status == KL_OK ? check_prunings(verify) : status;
}
