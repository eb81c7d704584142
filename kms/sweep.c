#include "kms/sweep.h"

#include "kms/walk.h"

#include <string.h>

/*
 * Keys of rows to be removed, at most so many. looks: how many rows may still be looked at; of a tree whose slot lives on, each takes a walk.
 */
struct sweep {
    struct kms *kms;
    bool lives;
    size_t count;
    size_t room;
    size_t looks;
    unsigned char keys[KMS_SWEEP_ROWS][KMS_PAGE_KEY_BYTES];
    struct kms_storage_write
        writes[KMS_SWEEP_ROWS + 2]; /* the mark of the tree, and the batch id */
};

/* The first dead tree. */
struct dead_tree {
    bool found;
    unsigned char key[KMS_DEAD_KEY_BYTES];
};

static enum kl_status stop(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_BUSY, "enough", "enough", "enough rows were seen");
}

static enum kl_status first_dead(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    struct dead_tree *dead = visitor;

    (void)value;
    if (key.size == KMS_DEAD_KEY_BYTES) {
        memcpy(dead->key, key.bytes, KMS_DEAD_KEY_BYTES);
        dead->found = true;
        return stop(err);
    }
    return KL_OK;
}

/* Whether the row of a page is noise: its tree is gone, or the page hangs nowhere in a tree that lives on. */
static enum kl_status row_is_dead(const struct sweep *sweep, struct kl_slice key, bool *ret_dead,
                                  struct kl_err *err)
{
    struct kms_address address;
    bool hangs = false;
    enum kl_status status = KL_OK;

    if (sweep->lives) {
        kms_page_row_address(key.bytes, &address);
        if (kms_address_valid(&address)) {
            status = kms_walk_page(sweep->kms, &address, &hangs, err);
        }
    }
    if (status == KL_OK) {
        *ret_dead = !hangs;
    }
    return status;
}

static enum kl_status collect(void *visitor, struct kl_slice key, struct kl_slice value,
                              struct kl_err *err)
{
    struct sweep *sweep = visitor;
    bool dead = false;
    enum kl_status status = KL_OK;

    (void)value;
    if (key.size != KMS_PAGE_KEY_BYTES) {
        return KL_OK;
    }
    if (sweep->count == sweep->room || sweep->looks == 0) {
        return stop(err);
    }
    status = row_is_dead(sweep, key, &dead, err);
    if (status != KL_OK) {
        return status;
    }
    sweep->looks--;
    memcpy(sweep->kms->sweep.after, key.bytes, KMS_PAGE_KEY_BYTES);
    sweep->kms->sweep.after_bytes = KMS_PAGE_KEY_BYTES;
    if (dead) {
        memcpy(sweep->keys[sweep->count], key.bytes, KMS_PAGE_KEY_BYTES);
        sweep->writes[sweep->count].key =
            (struct kl_slice){sweep->keys[sweep->count], KMS_PAGE_KEY_BYTES};
        sweep->writes[sweep->count].value = (struct kl_slice){NULL, 0};
        sweep->count++;
    }
    return KL_OK;
}

static enum kl_status range(struct sweep *sweep, const unsigned char *prefix, size_t bytes)
{
    const struct kms_sweep_place *place = &sweep->kms->sweep;
    unsigned char after[KMS_PAGE_KEY_BYTES];
    struct kl_err ignored = {0};

    memcpy(after, place->after, sizeof after); /* collect() moves the place on */
    return kms_rows_range(&sweep->kms->rows, (struct kl_slice){prefix, bytes},
                          (struct kl_slice){after, place->after_bytes}, collect, sweep, &ignored);
}

/*
 * Rows of one dead tree, from where the last commit left off. A subject's tree is one prefix; below a tenant there are its own tree and
 * those of its subjects. Returns whether all were looked at.
 */
static bool collect_tree(struct sweep *sweep, const unsigned char dead_key[KMS_DEAD_KEY_BYTES])
{
    unsigned char prefix[KMS_DEAD_KEY_BYTES];
    bool tenant = dead_key[1] == KMS_TREE_TENANT;
    size_t bytes = tenant ? 1 + 1 + 8 : sizeof prefix;

    memcpy(prefix, dead_key, sizeof prefix);
    prefix[0] = KMS_ROW_PAGE;
    if (range(sweep, prefix, bytes) != KL_OK) {
        return false;
    }
    prefix[1] = KMS_TREE_SUBJECT;
    return !tenant || range(sweep, prefix, bytes) == KL_OK;
}

/* Whether what holds the tree lives on, with other pages. KL_ERR_...: it cannot be told now. */
static enum kl_status lives_on(struct kms *kms, const unsigned char dead_key[KMS_DEAD_KEY_BYTES],
                               bool *ret_lives)
{
    struct kms_place place = {kl_get_u64be(dead_key + 2), KMS_SLOT_NONE, KMS_VALUE_NONE};
    enum kl_status status;

    if (dead_key[1] == KMS_TREE_SUBJECT) {
        place.slot = kl_get_u64be(dead_key + 10);
    }
    status = kms_walk_check(kms, &place, NULL);
    if (status == KL_OK || status == KL_ERR_GONE) {
        *ret_lives = status == KL_OK;
        status = KL_OK;
    }
    return status;
}

/* Another tree than last time is looked at from its start. */
static void place_begin(struct kms_sweep_place *place, const unsigned char key[KMS_DEAD_KEY_BYTES])
{
    if (memcmp(place->dead, key, KMS_DEAD_KEY_BYTES) != 0) {
        memcpy(place->dead, key, KMS_DEAD_KEY_BYTES);
        place->after_bytes = 0;
    }
}

void kms_sweep_add(struct kms *kms, const unsigned char dead_key[KMS_DEAD_KEY_BYTES])
{
    struct kms_sweep_place *place = &kms->sweep;
    size_t same = place->dead[1] == KMS_TREE_TENANT ? 1 + 1 + 8 : KMS_DEAD_KEY_BYTES;

    place->pending = true;
    if (memcmp(place->dead + 2, dead_key + 2, same - 2) == 0) {
        place->after_bytes = 0;
    }
}

static void remove_rows(struct kms *kms, struct sweep *sweep)
{
    struct kl_err failure = {0};

    if (sweep->count > 0 &&
        kms_rows_apply_room(&kms->rows, sweep->writes, sweep->count, false, &failure) != KL_OK) {
        kms_fatal(kms, &failure);
    }
}

/* Rows of the first dead tree, and its mark once they are all gone. Returns whether there may be more to do. */
static bool sweep_tree(struct sweep *sweep)
{
    struct kms *kms = sweep->kms;
    struct dead_tree dead = {.found = false};
    enum kl_status status;

    status = kms_rows_range(&kms->rows, (struct kl_slice){(const unsigned char[]){KMS_ROW_DEAD}, 1},
                            (struct kl_slice){NULL, 0}, first_dead, &dead, NULL);
    if (!dead.found) {
        sweep->room = 0;
        return status != KL_OK;
    }
    if (lives_on(kms, dead.key, &sweep->lives) != KL_OK) {
        sweep->room = 0;
        return true;
    }
    sweep->count = 0;
    place_begin(&kms->sweep, dead.key);
    if (collect_tree(sweep, dead.key)) {
        sweep->writes[sweep->count].key = (struct kl_slice){dead.key, sizeof dead.key};
        sweep->writes[sweep->count].value = (struct kl_slice){NULL, 0};
        sweep->count++;
        sweep->room -= sweep->count - 1;
        kms->sweep.after_bytes = 0;
    } else {
        sweep->room = 0;
    }
    remove_rows(kms, sweep);
    return true;
}

void kms_sweep(struct kms *kms)
{
    struct sweep sweep = {.kms = kms, .room = KMS_SWEEP_ROWS, .looks = KMS_SWEEP_LOOKS};

    while (kms->sweep.pending && sweep.room > 0 && !atomic_load(&kms->broken)) {
        kms->sweep.pending = sweep_tree(&sweep);
    }
}
