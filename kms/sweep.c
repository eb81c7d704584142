#include "kms/sweep.h"

#include <string.h>

/* Keys of rows to be removed, at most so many. */
struct sweep {
    size_t count;
    size_t room;
    unsigned char keys[KMS_SWEEP_ROWS][KMS_PAGE_KEY_BYTES];
    struct kms_storage_write writes[KMS_SWEEP_ROWS + 1];
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

static enum kl_status collect(void *visitor, struct kl_slice key, struct kl_slice value,
                              struct kl_err *err)
{
    struct sweep *sweep = visitor;

    (void)value;
    if (key.size != KMS_PAGE_KEY_BYTES) {
        return KL_OK;
    }
    if (sweep->count == sweep->room) {
        return stop(err);
    }
    memcpy(sweep->keys[sweep->count], key.bytes, KMS_PAGE_KEY_BYTES);
    sweep->writes[sweep->count].key =
        (struct kl_slice){sweep->keys[sweep->count], KMS_PAGE_KEY_BYTES};
    sweep->writes[sweep->count].value = (struct kl_slice){NULL, 0};
    sweep->count++;
    return KL_OK;
}

static enum kl_status range(struct kms *kms, const unsigned char *prefix, size_t bytes,
                            kms_storage_visit visit, void *visitor)
{
    const struct kms_storage *storage = kms->rows.storage;
    struct kl_err ignored = {0};

    return storage->range(storage->context, (struct kl_slice){prefix, bytes}, visit, visitor,
                          &ignored);
}

/*
 * Rows of one dead tree. A subject's tree is one prefix; below a tenant there are its own tree and those of its subjects. Returns whether
 * all were collected.
 */
static bool collect_tree(struct kms *kms, const unsigned char dead_key[KMS_DEAD_KEY_BYTES],
                         struct sweep *sweep)
{
    unsigned char prefix[KMS_DEAD_KEY_BYTES];
    bool tenant = dead_key[1] == KMS_TREE_TENANT;
    size_t bytes = tenant ? 1 + 1 + 8 : sizeof prefix;

    memcpy(prefix, dead_key, sizeof prefix);
    prefix[0] = KMS_ROW_PAGE;
    if (range(kms, prefix, bytes, collect, sweep) != KL_OK) {
        return false;
    }
    prefix[1] = KMS_TREE_SUBJECT;
    return !tenant || range(kms, prefix, bytes, collect, sweep) == KL_OK;
}

static void remove_rows(struct kms *kms, const struct sweep *sweep)
{
    struct kl_err failure = {0};

    if (sweep->count > 0 &&
        kms_rows_apply(&kms->rows, sweep->writes, sweep->count, false, &failure) != KL_OK) {
        kms_fatal(kms, &failure);
    }
}

/* Rows of the first dead tree, and its mark once they are all gone. Returns whether there may be more to do. */
static bool sweep_tree(struct kms *kms, struct sweep *sweep)
{
    struct dead_tree dead = {.found = false};
    enum kl_status status;
    bool all;

    status = range(kms, (const unsigned char[]){KMS_ROW_DEAD}, 1, first_dead, &dead);
    if (!dead.found) {
        sweep->room = 0;
        return status != KL_OK;
    }
    sweep->count = 0;
    all = collect_tree(kms, dead.key, sweep);
    if (all) {
        sweep->writes[sweep->count].key = (struct kl_slice){dead.key, sizeof dead.key};
        sweep->writes[sweep->count].value = (struct kl_slice){NULL, 0};
        sweep->count++;
        sweep->room -= sweep->count - 1;
    } else {
        sweep->room = 0;
    }
    remove_rows(kms, sweep);
    return true;
}

void kms_sweep(struct kms *kms)
{
    struct sweep sweep = {.room = KMS_SWEEP_ROWS};

    while (kms->sweep_pending && sweep.room > 0 && !atomic_load(&kms->broken)) {
        kms->sweep_pending = sweep_tree(kms, &sweep);
    }
}
