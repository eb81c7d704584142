/* The inside of the mirrors, shared by the files mirror*.c. */
#ifndef KLUIS_KMS_MIRRORS_INTERNAL_H
#define KLUIS_KMS_MIRRORS_INTERNAL_H

#include "kms/internal.h"
#include "kms/mirrors.h"

/* What rows say of a mirror: format.h. */
enum kms_mirror_joined { KMS_MIRROR_JOINING = 1, KMS_MIRROR_MEMBER = 2 };
enum kms_mirror_self { KMS_MIRROR_COPYING = 1, KMS_MIRROR_WHOLE = 2, KMS_MIRROR_DESTROYED = 3 };

/* What the thread of a mirror is told, one thing at a time. */
enum kms_mirror_order {
    KMS_ORDER_NONE,
    KMS_ORDER_LOOK, /* open it and see whose it is; writes nothing, but destroys what an interrupted joining left */
    KMS_ORDER_SYNC,  /* bring it up to date, until it is in step */
    KMS_ORDER_STORE, /* store_key as the root key of store_generation */
    KMS_ORDER_WIPE   /* overwrite and remove its root file */
};

/* A batch on its way to mirrors: one piece of memory, counted. */
struct kms_mirror_batch {
    unsigned refs; /* under the lock of the mirrors */
    size_t bytes;
    size_t count;
    bool sync;
    struct kms_storage_write writes[];
};
struct kms_mirror_queued {
    struct kms_mirror_batch *batch;
    struct kms_mirror_queued *next;
};

struct kms_mirror {
    struct kms_mirrors *all;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char dir[KMS_MIRROR_DIR_MAX_BYTES + 1];
    char label[KMS_MIRROR_LABEL_MAX_BYTES + 1];
    pthread_t thread;

    /* Under the lock of the mirrors. */
    pthread_cond_t wake;
    int64_t registered_us;
    bool joining;    /* its row says so: not yet whole */
    bool fresh;      /* its folder was found empty by this process, and has no row yet */
    bool holds_keys; /* root keys may lie there */
    bool dropping;
    enum kms_mirror_state state;
    int64_t since_us;
    uint64_t generation;
    char reason[160];
    struct kms_custodian_report report;
    enum kms_mirror_order order; /* until it is done */
    enum kl_status order_status; /* of the last one */
    struct kl_err order_err;
    bool busy;    /* its thread is at work, outside of the lock */
    bool taking;  /* batches are queued for it */
    bool behind;  /* more than the queue holds came while it was copied */
    bool at_gate; /* its thread waits for its turn, not for its disk */
    bool suspect; /* it failed: to be opened anew */
    bool ahead;   /* it has destroyed the root key that is in use here */
    struct kms_mirror_queued *first;
    struct kms_mirror_queued *last;
    size_t queued_bytes;
    uint64_t posted;  /* batches that were queued, ever */
    uint64_t written; /* and written, or given up */
    uint64_t settles; /* it holds all rows once so many were written */
    uint64_t progress;
    bool has_turn;
    bool inside;    /* its thread uses struct kms */
    bool stop;      /* its thread is to end */
    bool ended;     /* and did */
    bool abandoned; /* it hangs: whoever wakes it frees it */
    uint64_t store_generation;
    struct kl_secret *store_key; /* the thread's while order is KMS_ORDER_STORE */

    /* The thread's own. */
    int folder; /* dir, open while its storage is; below 0: not */
    struct kms_storage storage;
    bool storage_open;
    struct kms_root_place
        *place;           /* NULL: a token keeps the root key, or the mirror has no root file yet */
    uint64_t form_number; /* of the form that place has */
    struct kl_secret *current;
    struct kl_secret *staged;
};

struct kms_mirrors {
    struct kms *kms; /* for the threads: only while inside */
    const struct kms_mirror_source *source;
    unsigned char
        store_id[KMS_STORE_ID_BYTES]; /* this and accept_f0: from before the first thread on */
    uint32_t patience_ms;
    bool accept_f0;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything of what is below, or of a mirror */
    unsigned refs;          /* kms, and each thread that was abandoned */
    struct kms_mirror *list[KMS_MIRRORS_MAX];
    size_t count;
    bool
        turn; /* a commit is under way, or the last step of bringing a mirror up to date: the root keys stay as they are */
    bool admin; /* somebody adds or drops a mirror */
    bool with_file;
    struct kms_root_form form; /* how root files are written, when with_file */
    uint64_t form_number;
};

/* ---- mirrors.c ---- */

void kms_mirror_lock(struct kms_mirrors *all);
void kms_mirror_unlock(struct kms_mirrors *all);
/* Wait for a change, at most until that moment (CLOCK_MONOTONIC, microseconds); false: it came. The lock is held. */
bool kms_mirror_wait_until(struct kms_mirrors *all, int64_t until_us);
int64_t kms_mirror_patience_us(const struct kms_mirrors *all);
/* From now on out of step, and why. The lock is held. */
void kms_mirror_fall_out(struct kms_mirror *mirror, const char *reason);
void kms_mirror_in_step(struct kms_mirror *mirror);
/* The lock is held for these. */
void kms_mirror_queue_clear(struct kms_mirror *mirror);
struct kms_mirror_batch *kms_mirror_queue_take(struct kms_mirror *mirror);
void kms_mirror_batch_release(struct kms_mirror_batch *batch);
/* Does not hold all rows yet, or is being brought up to date. */
bool kms_mirror_at_it(const struct kms_mirror *mirror);
/* The turn is a commit's, not a mirror's. The lock is held. */
bool kms_mirror_commit_under_way(const struct kms_mirrors *all);
/* False when it has an order, or hangs. */
bool kms_mirror_order(struct kms_mirror *mirror, enum kms_mirror_order order);
/* Until the order is done, or nothing moved for as long as the patience: false then. */
bool kms_mirror_order_wait(struct kms_mirror *mirror);

/* ---- mirror_thread.c ---- */

/* A mirror and its thread; not in the list yet. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_mirror_new(struct kms_mirrors *all,
                                          const unsigned char id[KMS_MIRROR_ID_BYTES],
                                          const char *dir, const char *label, bool joining,
                                          int64_t registered_us, struct kms_mirror **ret_mirror,
                                          struct kl_err *err);
/* Ask the threads to end and wait for them; those that hang are left to themselves. They are in no list any more. The lock is not held. */
void kms_mirror_end(struct kms_mirror **mirrors, size_t count);
void kms_mirrors_release(struct kms_mirrors *all);

/* ---- mirror_disk.c, mirror_copy.c, mirror_step.c: the thread of the mirror ---- */

#define KMS_MIRROR_PATH_BYTES (KMS_MIRROR_DIR_MAX_BYTES + 8)
void kms_mirror_path(const struct kms_mirror *mirror, const char *name,
                     char ret_path[KMS_MIRROR_PATH_BYTES]);
enum kl_status kms_mirror_fail_stopping(struct kl_err *err);
/* status and code of the cause, and what it is the cause of. */
enum kl_status kms_mirror_fail(struct kl_err *err, enum kl_status status, const char *what,
                               const struct kl_err *cause);
/* How root files are written now; ret_number says which form it is. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_mirror_form_now(struct kms_mirror *mirror, bool *ret_with_file,
                                               struct kms_root_form *ret_form, uint64_t *ret_number,
                                               struct kl_err *err);
/* The root file that lies there: overwritten, removed. KL_ERR_REFUSED "root_file_foreign": what lies there is something else, and stays. */
KL_MUST_USE enum kl_status kms_mirror_root_destroy(struct kms_mirror *mirror, struct kl_err *err);
KL_MUST_USE enum kl_status kms_mirror_self_set(struct kms_mirror *mirror, enum kms_mirror_self self,
                                               struct kl_err *err);
/* Batches are queued from now on; whether all up to now are in the mirror. */
KL_MUST_USE enum kl_status kms_mirror_take(struct kms_mirror *mirror, bool *ret_same,
                                           struct kl_err *err);
KL_MUST_USE enum kl_status kms_mirror_copy(struct kms_mirror *mirror, struct kl_err *err);
size_t kms_mirror_queue_count(struct kms_mirror *mirror);
/* Write what was posted so far; count: how many of them at most. */
KL_MUST_USE enum kl_status kms_mirror_drain(struct kms_mirror *mirror, size_t count,
                                            struct kl_err *err);
/* KL_ERR_BUSY it fell behind, or is about to end. */
KL_MUST_USE enum kl_status kms_mirror_behind_check(struct kms_mirror *mirror, struct kl_err *err);
/* The gate of the rows; who posts does not wait for this mirror meanwhile. */
void kms_mirror_gate_take(struct kms_mirror *mirror);
KL_MUST_USE enum kl_status kms_mirror_look(struct kms_mirror *mirror, struct kl_err *err);
KL_MUST_USE enum kl_status kms_mirror_sync(struct kms_mirror *mirror, struct kl_err *err);
KL_MUST_USE enum kl_status kms_mirror_store(struct kms_mirror *mirror, struct kl_err *err);
KL_MUST_USE enum kl_status kms_mirror_wipe(struct kms_mirror *mirror, struct kl_err *err);
KL_MUST_USE enum kl_status kms_mirror_batch_write(struct kms_mirror *mirror,
                                                  const struct kms_mirror_batch *batch,
                                                  struct kl_err *err);
void kms_mirror_shut(struct kms_mirror *mirror);
/* struct kms may be used until kms_mirror_outside(); false: it is about to end. */
bool kms_mirror_inside(struct kms_mirror *mirror);
void kms_mirror_outside(struct kms_mirror *mirror);

/* ---- mirror_dir.c ---- */

/*
 * The folder is there, durably, is empty, and lies where it may. ret_dir: its name without links.
 * KL_ERR_INVALID "mirror_dir"; KL_ERR_EXISTS "mirror_exists" not empty; KL_ERR_IO "mirror_io";
 * KL_ERR_CONFLICT "mirror_dir_unsafe" it is another user's, or others may write to it.
 */
KL_MUST_USE enum kl_status kms_mirror_dir_make(const struct kms *kms, const char *dir,
                                               char ret_dir[KMS_MIRROR_DIR_MAX_BYTES + 1],
                                               struct kl_err *err);
/* The folder of a mirror, open, this user's or root's, and nobody else may write to it. KL_ERR_CONFLICT "mirror_dir_unsafe", KL_ERR_IO "mirror_io". */
KL_MUST_USE enum kl_status kms_mirror_dir_open(const char *dir, int *ret_folder,
                                               struct kl_err *err);
/* Whether dir still is the folder that is open. */
bool kms_mirror_dir_is(const char *dir, int folder);

/* ---- mirror_rows.c ---- */

#define KMS_MIRROR_KEY_BYTES (1 + KMS_MIRROR_ID_BYTES)
#define KMS_MIRROR_ROW_MAX_BYTES \
    (1 + 1 + 8 + 4 + KMS_MIRROR_DIR_MAX_BYTES + 4 + KMS_MIRROR_LABEL_MAX_BYTES)
#define KMS_MIRROR_SELF_BYTES (1 + KMS_MIRROR_ID_BYTES + 1)
void kms_mirror_key(const unsigned char id[KMS_MIRROR_ID_BYTES],
                    unsigned char ret_key[KMS_MIRROR_KEY_BYTES]);
/* ret_row is made with kl_buf_init(); KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_mirror_row_write(enum kms_mirror_joined joined,
                                                int64_t registered_us, const char *dir,
                                                const char *label, struct kl_buf *ret_row,
                                                struct kl_err *err);
struct kms_mirror_row {
    unsigned char id[KMS_MIRROR_ID_BYTES];
    enum kms_mirror_joined joined;
    int64_t registered_us;
    char dir[KMS_MIRROR_DIR_MAX_BYTES + 1];
    char label[KMS_MIRROR_LABEL_MAX_BYTES + 1];
};
/* KL_ERR_CORRUPT "key_mirror_corrupt". */
KL_MUST_USE enum kl_status kms_mirror_row_parse(struct kl_slice key, struct kl_slice value,
                                                struct kms_mirror_row *ret_row, struct kl_err *err);
extern const struct kl_slice kms_mirror_self_key;
void kms_mirror_self_write(const unsigned char id[KMS_MIRROR_ID_BYTES], enum kms_mirror_self self,
                           unsigned char ret_bytes[KMS_MIRROR_SELF_BYTES]);
/* Which mirror a storage is. KL_ERR_NOT_FOUND none; KL_ERR_CORRUPT "key_mirror_corrupt"; KL_ERR_IO. */
KL_MUST_USE enum kl_status kms_mirror_self_read(const struct kms_storage *storage,
                                                unsigned char ret_id[KMS_MIRROR_ID_BYTES],
                                                enum kms_mirror_self *ret_self, struct kl_err *err);

#endif
