/* Proofs and entries for who checks the trail. */
#include "kluis/vault/trail.h"

#include "vault/act.h"
#include "vault/audit_leaves.h"
#include "vault/audit_proof.h"
#include "vault/audit_write.h"
#include "vault/pruned.h"

#include <string.h>

/* What JSON makes of a text is at most six times as long; what surrounds it is less than this for an entry. */
#define AROUND_ENTRY_BYTES 128
#define PROOF_MAX_BYTES 8192
/* Leaf hashes of entries that went by a policy, of one page. */
#define PAGE_PRUNED_MAX 8192
#define PRUNED_MAX_BYTES (PAGE_PRUNED_MAX * 128)
/* So many lost numbers one page passes over at most: a second's work. */
#define PAGE_LOST_MAX 2000000

/* What was written to text goes to ret, whole or not at all. */
static enum kl_status give(const struct kl_buf *text, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = kl_buf_status(text, err);

    if (status == KL_OK) {
        kl_buf_add(ret, text->bytes, text->size);
        status = kl_buf_status(ret, err);
    }
    return status;
}

static enum kl_status open_tree(struct vault *vault, const struct vault_caller *caller,
                                const char *action, uint64_t *ret_tenant,
                                struct vault_tree_reader **ret_reader, struct kl_err *err)
{
    enum kl_status status = vault_act_own_trail(vault, caller, action, ret_tenant, err);

    return status == KL_OK ? vault_tree_reader_new(vault->trails, *ret_tenant, ret_reader, err)
                           : status;
}

/* ---- inclusion ---- */

struct inclusion {
    const struct kl_id *entry;
    uint64_t index;
    uint64_t size;
};

/* An id that leads to nothing may be that of an entry that went: what it was is nowhere, and its number still proves it. */
static enum kl_status find_entry(struct vault *vault, uint64_t tenant, const struct kl_id *entry,
                                 uint64_t *ret_index, struct kl_err *err)
{
    struct vault_pruned pruned = {.until = 0};
    struct kl_err cause = {0};
    enum kl_status status = vault_audit_find(vault->data_store, tenant, entry, ret_index, &cause);

    if (status == KL_ERR_NOT_FOUND &&
        vault_trails_pruned(vault->trails, tenant, &pruned, NULL) == KL_OK && pruned.until > 0) {
        return kl_failf(err, KL_ERR_NOT_FOUND, "entry_pruned",
                        "no entry that is kept has this id; those below number %llu went by the "
                        "policy, and can be proved by their numbers alone",
                        (unsigned long long)pruned.until);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static enum kl_status inclusion_find(struct vault *vault, uint64_t tenant, int64_t index,
                                     int64_t size, uint64_t today, struct inclusion *inclusion,
                                     struct kl_err *err)
{
    enum kl_status status = KL_OK;

    inclusion->index = (uint64_t)index;
    inclusion->size = size == -1 ? today : (uint64_t)size;
    if (inclusion->entry != NULL) {
        status = find_entry(vault, tenant, inclusion->entry, &inclusion->index, err);
    } else if (index < 0 || inclusion->index >= today) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_index",
                          "the audit trail has %llu entries, numbered from 0",
                          (unsigned long long)today);
    }
    if (status == KL_OK &&
        (size < -1 || inclusion->size > today || inclusion->index >= inclusion->size)) {
        status = kl_failf(
            err, KL_ERR_INVALID, "invalid_size",
            "a size is larger than the number of the entry and at most that of today, %llu",
            (unsigned long long)today);
    }
    return status;
}

enum kl_status vault_trail_inclusion(struct vault *vault, const struct vault_caller *caller,
                                     const struct kl_id *entry, int64_t index, int64_t size,
                                     struct kl_buf *ret, struct kl_err *err)
{
    struct inclusion inclusion = {.entry = entry};
    struct vault_tree_reader *reader = NULL;
    struct kl_json_out out;
    struct kl_buf text;
    uint64_t tenant = 0;
    enum kl_status status = open_tree(vault, caller, "audit_proof", &tenant, &reader, err);

    kl_buf_init(&text, PROOF_MAX_BYTES);
    out = kl_json_out(&text);
    if (status == KL_OK) {
        status =
            inclusion_find(vault, tenant, index, size, vault_tree_size(reader), &inclusion, err);
    }
    if (status == KL_OK) {
        status = vault_audit_inclusion_write(reader, caller->tenant_name, inclusion.entry,
                                             inclusion.index, inclusion.size, &out, err);
    }
    if (status == KL_OK) {
        status = give(&text, ret, err);
    }
    kl_buf_done(&text);
    vault_tree_reader_free(reader);
    return status;
}

/* ---- consistency ---- */

static enum kl_status consistency_write(struct vault_tree_reader *reader, const char *tenant_name,
                                        uint64_t from, uint64_t to, struct kl_json_out *out,
                                        struct kl_err *err)
{
    unsigned char from_root[KL_MERKLE_HASH_BYTES];
    unsigned char to_root[KL_MERKLE_HASH_BYTES];
    struct vault_tree_proof proof = {0};
    enum kl_status status = vault_tree_consistency(reader, from, to, &proof, err);

    if (status == KL_OK) {
        status = vault_tree_root(reader, from, from_root, err);
    }
    if (status == KL_OK) {
        status = vault_tree_root(reader, to, to_root, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "tenant", tenant_name);
    kl_json_add_int(out, "from", (int64_t)from);
    kl_json_add_int(out, "to", (int64_t)to);
    vault_audit_add_hash(out, "from_root_hash", from_root);
    vault_audit_add_hash(out, "to_root_hash", to_root);
    vault_audit_add_hashes(out, &proof);
    kl_json_object_end(out);
    return KL_OK;
}

enum kl_status vault_trail_consistency(struct vault *vault, const struct vault_caller *caller,
                                       int64_t from, int64_t to, struct kl_buf *ret,
                                       struct kl_err *err)
{
    struct vault_tree_reader *reader = NULL;
    struct kl_json_out out;
    struct kl_buf text;
    uint64_t tenant = 0;
    uint64_t today = 0;
    enum kl_status status = open_tree(vault, caller, "audit_proof", &tenant, &reader, err);

    kl_buf_init(&text, PROOF_MAX_BYTES);
    out = kl_json_out(&text);
    if (status == KL_OK) {
        today = vault_tree_size(reader);
        to = to == -1 ? (int64_t)today : to;
    }
    if (status == KL_OK && (from < 1 || from > to || (uint64_t)to > today)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_range",
                          "from is 1 or more, to no less than from and at most %llu",
                          (unsigned long long)today);
    }
    if (status == KL_OK) {
        status =
            consistency_write(reader, caller->tenant_name, (uint64_t)from, (uint64_t)to, &out, err);
    }
    if (status == KL_OK) {
        status = give(&text, ret, err);
    }
    kl_buf_done(&text);
    vault_tree_reader_free(reader);
    return status;
}

/* ---- entries ---- */

/*
 * reader: NULL when the stored tree is damaged, which keeps nobody from reading. next: the number that the page goes on with; lost numbers
 * before it were passed over. runs: consecutive numbers whose entries went by a policy, as far as they are written (in_run: the last of
 * them goes on with run_next).
 */
struct page {
    struct vault_tree_reader *reader;
    struct vault_lost lost;
    uint64_t size;
    struct kl_buf *text;
    struct kl_json_out *out;
    size_t limit;
    size_t count;
    size_t passed; /* lost numbers */
    uint64_t next;
    bool full;
    int line; /* of the transfer by which it leaves the EEA */
    struct vault_pruned pruned;
    struct kl_buf *runs_text;
    struct kl_json_out *runs;
    size_t run_hashes;
    uint64_t run_next;
    bool in_run;
};

/* The leaf that the stored tree has, under key (NULL: in an array); null where it is damaged. */
static enum kl_status put_stored(struct page *page, struct kl_json_out *out, const char *key,
                                 uint64_t number, struct kl_err *err)
{
    unsigned char stored[KL_MERKLE_HASH_BYTES];
    struct kl_err cause = {0};
    enum kl_status status = page->reader == NULL
                                ? KL_ERR_CORRUPT
                                : vault_tree_leaf(page->reader, number, stored, &cause);

    if (status == KL_OK) {
        vault_audit_add_hash(out, key, stored);
    } else if (status == KL_ERR_CORRUPT) {
        if (key != NULL) {
            kl_json_key(out, key);
        }
        kl_json_put_null(out);
    } else {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

static enum kl_status page_put(struct page *page, const struct vault_leaf *leaf, struct kl_err *err)
{
    size_t size = leaf->entry.size < VAULT_AUDIT_ENTRY_MAX_BYTES ? leaf->entry.size
                                                                 : VAULT_AUDIT_ENTRY_MAX_BYTES;
    enum kl_status status;

    /* What JSON cannot hold was put there by somebody: cut short, it is no less another text than the one that was hashed. */
    size = leaf->kind == VAULT_LEAF_ENTRY ? strnlen((const char *)leaf->entry.bytes, size) : 0;
    kl_json_object_begin(page->out);
    kl_json_add_int(page->out, "index", (int64_t)leaf->number);
    kl_json_key(page->out, "text");
    if (leaf->kind == VAULT_LEAF_ENTRY) {
        kl_json_put_text_n(page->out, leaf->entry.bytes, size);
    } else {
        kl_json_put_null(page->out);
    }
    status = put_stored(page, page->out, "leaf_hash", leaf->number, err);
    kl_json_object_end(page->out);
    page->count++;
    return status;
}

/* Whether the stored tree has an entry for a number that is said to be lost: then somebody took the entry away. */
static bool was_entry(struct page *page, const struct vault_leaf *leaf)
{
    unsigned char stored[KL_MERKLE_HASH_BYTES];

    return page->reader != NULL &&
           vault_tree_leaf(page->reader, leaf->number, stored, NULL) == KL_OK &&
           memcmp(stored, leaf->hash, sizeof stored) != 0;
}

static void run_end(struct page *page)
{
    if (page->in_run) {
        kl_json_array_end(page->runs);
        kl_json_object_end(page->runs);
        page->in_run = false;
    }
}

static enum kl_status page_put_pruned(struct page *page, uint64_t number, struct kl_err *err)
{
    if (page->run_next != number) {
        run_end(page);
    }
    if (!page->in_run) {
        kl_json_object_begin(page->runs);
        kl_json_add_int(page->runs, "from", (int64_t)number);
        kl_json_key(page->runs, "leaf_hashes");
        kl_json_array_begin(page->runs);
        page->in_run = true;
    }
    page->run_next = number + 1;
    page->run_hashes++;
    return put_stored(page, page->runs, NULL, number, err);
}

/* KL_ERR_BUSY, which goes no further, ends the walk when the page is full. */
static enum kl_status page_leaf(void *visitor, const struct vault_leaf *leaf, struct kl_err *err)
{
    struct page *page = visitor;
    enum kl_status status = KL_OK;

    if (leaf->kind == VAULT_LEAF_LOST && !was_entry(page, leaf)) {
        page->full = page->passed++ == PAGE_LOST_MAX;
        status = page->full ? KL_ERR_BUSY : KL_OK;
    } else if (leaf->number < page->pruned.until) {
        page->full = page->run_hashes == PAGE_PRUNED_MAX;
        status = page->full ? KL_ERR_BUSY : page_put_pruned(page, leaf->number, err);
    } else {
        page->full = page->count == page->limit ||
                     (page->count > 0 && page->text->size + leaf->entry.size + AROUND_ENTRY_BYTES >
                                             VAULT_TRAIL_PAGE_MAX_BYTES);
        status = page->full ? KL_ERR_BUSY : page_put(page, leaf, err);
    }
    if (status == KL_OK) {
        page->next = leaf->number + 1;
    }
    return status;
}

static enum kl_status page_fill(struct vault *vault, uint64_t tenant, struct page *page,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_json_key(page->out, "entries");
    kl_json_array_begin(page->out);
    status = vault_leaves_each(vault->data_store, tenant, &page->lost, page->next, page->size,
                               page_leaf, page, err);
    kl_json_array_end(page->out);
    return status == KL_ERR_BUSY && page->full ? KL_OK : status;
}

/* The lost ranges that the page touches. */
static void page_lost(const struct page *page, uint64_t from)
{
    const struct vault_lost *lost = &page->lost;

    kl_json_key(page->out, "lost");
    kl_json_array_begin(page->out);
    for (size_t i = 0; i < lost->count; i++) {
        if (lost->ranges[i].until > from && lost->ranges[i].from < page->next) {
            kl_json_object_begin(page->out);
            kl_json_add_int(page->out, "from", (int64_t)lost->ranges[i].from);
            kl_json_add_int(page->out, "until", (int64_t)lost->ranges[i].until);
            kl_json_object_end(page->out);
        }
    }
    kl_json_array_end(page->out);
}

/* What went by a policy: up to which number, by which entry, and what of it the page has. */
static void page_pruned(struct page *page)
{
    char id[KL_ID_TEXT_BYTES];

    run_end(page);
    kl_json_array_end(page->runs);
    kl_json_key(page->out, "pruned");
    if (page->pruned.until == 0) {
        kl_json_put_null(page->out);
        return;
    }
    kl_json_object_begin(page->out);
    kl_json_add_int(page->out, "until", (int64_t)page->pruned.until);
    kl_id_format("aud", &page->pruned.entry, id);
    kl_json_add_text(page->out, "entry", id);
    kl_json_key(page->out, "runs");
    kl_json_put_raw(page->out, page->runs_text->bytes, page->runs_text->size);
    kl_json_object_end(page->out);
}

static enum kl_status entries_note(struct vault *vault, const struct vault_caller *caller,
                                   uint64_t tenant, const struct page *page, uint64_t from,
                                   struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status;

    vault_act_begin(&act, tenant, &who, "audit_read");
    kl_json_add_int(&act.out, "entries", (int64_t)page->count);
    kl_json_add_int(&act.out, "from", (int64_t)from);
    vault_act_transfer(&act, caller, page->line);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status entries_write(struct vault *vault, const struct vault_caller *caller,
                                    uint64_t tenant, uint64_t from, struct page *page,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_json_object_begin(page->out);
    kl_json_add_text(page->out, "tenant", caller->tenant_name);
    kl_json_add_int(page->out, "from", (int64_t)from);
    status = page_fill(vault, tenant, page, err);
    page_lost(page, from);
    page_pruned(page);
    kl_json_add_int(page->out, "next", (int64_t)page->next);
    kl_json_add_int(page->out, "size", (int64_t)page->size);
    kl_json_object_end(page->out);
    if (status == KL_OK) {
        status = kl_buf_status(page->runs_text, err);
    }
    if (status == KL_OK) {
        status = kl_buf_status(page->text, err);
    }
    return status == KL_OK ? entries_note(vault, caller, tenant, page, from, err) : status;
}

static enum kl_status page_begin(struct vault *vault, uint64_t tenant, struct page *page,
                                 struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_trails_size(vault->trails, tenant, &page->size, err);

    if (status == KL_OK) {
        status = vault_lost_read(vault->data_store, tenant, &page->lost, err);
    }
    if (status == KL_OK) {
        status = vault_trails_pruned(vault->trails, tenant, &page->pruned, err);
        page->lost.pruned = page->pruned.until;
    }
    if (status == KL_OK) {
        status = vault_tree_reader_new(vault->trails, tenant, &page->reader, &cause);
        if (status != KL_OK && status != KL_ERR_CORRUPT) {
            return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        }
        status = KL_OK;
    }
    return status;
}

enum kl_status vault_trail_entries(struct vault *vault, const struct vault_caller *caller,
                                   int64_t from, size_t limit, struct kl_buf *ret,
                                   struct kl_err *err)
{
    struct page page = {.limit = limit, .next = (uint64_t)from};
    struct kl_json_out out;
    struct kl_json_out runs;
    struct kl_buf text;
    struct kl_buf runs_text;
    uint64_t tenant = 0;
    enum kl_status status =
        vault_act_shown_trail(vault, caller, "audit_read", &tenant, &page.line, err);

    kl_buf_init(&text, 8 * VAULT_TRAIL_PAGE_MAX_BYTES);
    out = kl_json_out(&text);
    page.text = &text;
    page.out = &out;
    kl_buf_init(&runs_text, PRUNED_MAX_BYTES);
    runs = kl_json_out(&runs_text);
    kl_json_array_begin(&runs);
    page.runs_text = &runs_text;
    page.runs = &runs;
    if (status == KL_OK && (limit < 1 || limit > VAULT_PAGE_MAX)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (status == KL_OK) {
        status = page_begin(vault, tenant, &page, err);
    }
    if (status == KL_OK && (from < 0 || (uint64_t)from > page.size)) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_range", "from is at most the size", NULL);
    }
    if (status == KL_OK) {
        status = entries_write(vault, caller, tenant, (uint64_t)from, &page, err);
    }
    if (status == KL_OK) {
        status = give(&text, ret, err);
    }
    kl_buf_done(&text);
    kl_buf_done(&runs_text);
    vault_lost_done(&page.lost);
    vault_tree_reader_free(page.reader);
    return status;
}

/* ---- keys ---- */

enum kl_status vault_trail_keys(struct vault *vault, const struct vault_caller *caller,
                                struct kl_buf *ret, struct kl_err *err)
{
    struct kl_buf text;
    uint64_t tenant = 0;
    enum kl_status status = vault_act_own_trail(vault, caller, "audit_keys", &tenant, err);

    kl_buf_init(&text, (size_t)(KL_TRAIL_LINKS_MAX + 1) * KL_TRAIL_JSON_MAX_BYTES);
    if (status == KL_OK) {
        status = vault_audit_keys_write(vault->keys, tenant, caller->tenant_name,
                                        KL_TRAIL_LINKS_MAX, &text, err);
    }
    if (status == KL_OK) {
        status = give(&text, ret, err);
    }
    kl_buf_done(&text);
    return status;
}
