/* The disk of a mirror: opening it, whose it is, its root file, its end. The thread of the mirror alone. */
#include "kms/mirrors_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the disk of the mirror ---- */

void kms_mirror_path(const struct kms_mirror *mirror, const char *name,
                     char ret_path[KMS_MIRROR_PATH_BYTES])
{
    (void)snprintf(ret_path, KMS_MIRROR_PATH_BYTES, "%s/%s", mirror->dir, name);
}

void kms_mirror_shut(struct kms_mirror *mirror)
{
    kms_root_place_close(mirror->place);
    mirror->place = NULL;
    if (mirror->storage_open) {
        mirror->all->source->close(mirror->all->source->context, &mirror->storage);
        mirror->storage_open = false;
    }
    if (mirror->folder >= 0) {
        (void)close(mirror->folder);
        mirror->folder = -1;
    }
}

bool kms_mirror_inside(struct kms_mirror *mirror)
{
    kms_mirror_lock(mirror->all);
    mirror->inside = !mirror->stop;
    kms_mirror_unlock(mirror->all);
    return mirror->inside;
}

void kms_mirror_outside(struct kms_mirror *mirror)
{
    kms_mirror_lock(mirror->all);
    mirror->inside = false;
    (void)pthread_cond_broadcast(&mirror->all->changed);
    kms_mirror_unlock(mirror->all);
}

enum kl_status kms_mirror_fail_stopping(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_BUSY, "mirror_stopping", "the vault is closing", NULL);
}

enum kl_status kms_mirror_fail(struct kl_err *err, enum kl_status status, const char *what,
                               const struct kl_err *cause)
{
    return kl_fail(err, status, cause->code, cause->client_text, "%s: %s", what,
                   cause->log_text[0] != '\0' ? cause->log_text : cause->client_text);
}

static enum kl_status storage_open(struct kms_mirror *mirror, bool fresh, struct kl_err *err)
{
    const struct kms_mirror_source *source = mirror->all->source;
    struct kl_err cause = {0};
    char path[KMS_MIRROR_PATH_BYTES];
    enum kl_status status;

    if (mirror->storage_open) {
        return KL_OK;
    }
    if (source == NULL) {
        return kl_fail(err, KL_ERR_UNAVAILABLE, "mirror_io", "mirrors cannot be opened", NULL);
    }
    if (mirror->folder < 0) {
        status = kms_mirror_dir_open(mirror->dir, &mirror->folder, &cause);
        if (status != KL_OK) {
            return kms_mirror_fail(err, status, "its folder", &cause);
        }
    }
    kms_mirror_path(mirror, "keys", path);
    memset(&mirror->storage, 0, sizeof mirror->storage);
    status = source->open(source->context, path, false, &mirror->storage, &cause);
    if (status == KL_ERR_NOT_FOUND && fresh) {
        cause = (struct kl_err){0};
        status = source->open(source->context, path, true, &mirror->storage, &cause);
    }
    if (status != KL_OK) {
        return kms_mirror_fail(err, status, "its rows could not be opened", &cause);
    }
    mirror->storage_open = true;
    if (!kms_mirror_dir_is(mirror->dir, mirror->folder)) {
        kms_mirror_shut(mirror);
        return kl_fail(err, KL_ERR_IO, "mirror_io", "the folder of the mirror could not be used",
                       "the folder of a mirror was replaced while it was opened");
    }
    return KL_OK;
}

/* How root files are written now; ret_number says which form it is. */
enum kl_status kms_mirror_form_now(struct kms_mirror *mirror, bool *ret_with_file,
                                   struct kms_root_form *ret_form, uint64_t *ret_number,
                                   struct kl_err *err)
{
    struct kms_mirrors *all = mirror->all;
    enum kl_status status;

    kms_mirror_lock(all);
    *ret_with_file = all->with_file;
    *ret_number = all->form_number;
    status = kms_root_form_copy(&all->form, ret_form, err);
    kms_mirror_unlock(all);
    return status;
}

/* The root file of this store that lies there, or what was to become one. Anything else is not ours, and stays. */
enum kl_status kms_mirror_root_destroy(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    if (mirror->place == NULL) {
        status = kms_root_file_open_left(mirror->folder, "root", mirror->all->store_id,
                                         &mirror->place, &cause);
    }
    if (status == KL_ERR_NOT_FOUND && kms_mirror_dir_is(mirror->dir, mirror->folder)) {
        status = KL_OK;
    } else if (status == KL_OK) {
        status = kms_root_place_wipe(mirror->place, &cause);
        kms_root_place_close(mirror->place);
        mirror->place = NULL;
    }
    if (status != KL_OK) {
        return kms_mirror_fail(err, status, "its root file could not be destroyed", &cause);
    }
    kms_mirror_lock(mirror->all);
    mirror->holds_keys = false;
    kms_mirror_unlock(mirror->all);
    return KL_OK;
}

static enum kl_status root_open(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kms_root_form form;
    bool with_file = false;
    enum kl_status status =
        kms_mirror_form_now(mirror, &with_file, &form, &mirror->form_number, err);

    if (status != KL_OK || !with_file) {
        return status;
    }
    status = kms_root_file_open_like(mirror->folder, "root", mirror->all->accept_f0, &form,
                                     mirror->all->store_id, &mirror->place, &cause);
    kms_root_form_done(&form);
    return status == KL_OK
               ? KL_OK
               : kms_mirror_fail(err, status, "its root file could not be opened", &cause);
}

enum kl_status kms_mirror_self_set(struct kms_mirror *mirror, enum kms_mirror_self self,
                                   struct kl_err *err)
{
    unsigned char bytes[KMS_MIRROR_SELF_BYTES];
    struct kms_storage_write write = {kms_mirror_self_key, {bytes, sizeof bytes}};
    struct kl_err cause = {0};
    enum kl_status status;

    kms_mirror_self_write(mirror->id, self, bytes);
    status = mirror->storage.apply(mirror->storage.context, &write, 1, true, &cause);
    if (status != KL_OK) {
        return kms_mirror_fail(err, status, "its rows could not be written", &cause);
    }
    kms_mirror_lock(mirror->all);
    mirror->fresh = false;
    kms_mirror_unlock(mirror->all);
    return KL_OK;
}

enum kl_status kms_mirror_batch_write(struct kms_mirror *mirror,
                                      const struct kms_mirror_batch *batch, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = mirror->storage.apply(mirror->storage.context, batch->writes,
                                                  batch->count, batch->sync, &cause);

    return status == KL_OK ? KL_OK
                           : kms_mirror_fail(err, status, "its rows could not be written", &cause);
}

/* ---- whose it is ---- */

static enum kl_status fail_other(struct kl_err *err, const char *what)
{
    return kl_fail(err, KL_ERR_REFUSED, "mirror_other", what, NULL);
}

static enum kl_status generation_here(struct kms_mirror *mirror, uint64_t *ret_generation,
                                      struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;

    if (!kms_mirror_inside(mirror)) {
        return kms_mirror_fail_stopping(err);
    }
    (void)pthread_rwlock_rdlock(&kms->lock);
    *ret_generation = kms->generation;
    (void)pthread_rwlock_unlock(&kms->lock);
    kms_mirror_outside(mirror);
    return KL_OK;
}

/*
 * A mirror that is ahead by an attempt that nobody acknowledged still has the root key in use here. Has it destroyed that, then this key
 * store was put back from before an erasure.
 */
static enum kl_status ahead_check(struct kms_mirror *mirror, const struct kms_meta *meta,
                                  bool is_mirror, struct kl_err *err)
{
    uint64_t generations[2] = {0, 0};
    uint64_t here = 0;
    enum kl_status status = generation_here(mirror, &here, err);

    if (status != KL_OK || meta->generation <= here) {
        return status;
    }
    if (is_mirror && mirror->place == NULL) {
        return KL_OK; /* the token, which both use, has the key of this generation */
    }
    if (mirror->place != NULL) {
        status = kms_root_file_generations(mirror->place, generations, err);
    }
    if (status != KL_OK || (is_mirror && generations[here % 2] == here)) {
        return status;
    }
    kms_mirror_lock(mirror->all);
    mirror->ahead = true;
    kms_mirror_unlock(mirror->all);
    return kl_failf(
        err, KL_ERR_REFUSED, "keys_older_than_mirror",
        "the key store (generation %llu) was put back from before an erasure or a rotation; "
        "open the vault from the mirror (generation %llu): %s",
        (unsigned long long)here, (unsigned long long)meta->generation, mirror->dir);
}

static enum kl_status meta_of(struct kms_mirror *mirror, bool *ret_found, struct kms_meta *ret_meta,
                              struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = mirror->storage.get(mirror->storage.context, kms_meta_key, &row, &cause);
    *ret_found = status == KL_OK;
    if (status == KL_OK) {
        status = kms_meta_parse(kl_buf_slice(&row), ret_meta, &cause);
    }
    kl_buf_done(&row);
    if (status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    return status == KL_OK ? KL_OK : kms_mirror_fail(err, status, "its meta row", &cause);
}

/* What the rows of a mirror say about themselves. */
struct facts {
    bool joining;
    bool fresh;
    bool has_self;
    bool has_meta;
    enum kms_mirror_self self;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_meta meta;
};

static enum kl_status facts_read(struct kms_mirror *mirror, struct facts *facts, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = kms_mirror_self_read(&mirror->storage, facts->id, &facts->self, &cause);

    facts->has_self = status == KL_OK;
    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        return kms_mirror_fail(err, status, "whose it is cannot be read", &cause);
    }
    return meta_of(mirror, &facts->has_meta, &facts->meta, err);
}

/* Nothing in the folder is touched before this is KL_OK: it may be somebody else's by now. */
static enum kl_status facts_check(struct kms_mirror *mirror, const struct facts *facts,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (facts->has_meta &&
        memcmp(facts->meta.store_id, mirror->all->store_id, KMS_STORE_ID_BYTES) != 0) {
        return fail_other(err, "the folder holds the keys of another vault");
    }
    if (facts->has_self ? memcmp(facts->id, mirror->id, sizeof facts->id) == 0
                        : facts->fresh && !facts->has_meta) {
        return KL_OK;
    }
    if (facts->has_meta && !facts->has_self) {
        status = ahead_check(mirror, &facts->meta, false, err);
    }
    if (status != KL_OK) {
        return status;
    }
    return fail_other(err,
                      facts->has_meta
                          ? "the folder is not this mirror any more: another one, or opened as a "
                            "vault of its own"
                          : "the folder is empty: is its volume mounted?");
}

/* Rows; they are this mirror's. */
static enum kl_status rows_open(struct kms_mirror *mirror, struct facts *ret_facts,
                                struct kl_err *err)
{
    bool suspect;
    enum kl_status status;

    memset(ret_facts, 0, sizeof *ret_facts);
    kms_mirror_lock(mirror->all);
    suspect = mirror->suspect;
    mirror->suspect = false;
    ret_facts->joining = mirror->joining;
    ret_facts->fresh = mirror->fresh;
    kms_mirror_unlock(mirror->all);
    if (suspect) {
        kms_mirror_shut(mirror);
    }
    status = storage_open(mirror, ret_facts->fresh, err);
    if (status == KL_OK) {
        status = facts_read(mirror, ret_facts, err);
    }
    return status == KL_OK ? facts_check(mirror, ret_facts, err) : status;
}

/* What joined may be ahead by now, where this key store was put back from the time of the joining: then its root file is what is left. */
static enum kl_status joining_look(struct kms_mirror *mirror, const struct facts *facts,
                                   struct kl_err *err)
{
    struct kl_err ignored = {0};
    enum kl_status status = KL_OK;

    if (facts->has_self && facts->self == KMS_MIRROR_WHOLE && facts->has_meta) {
        if (mirror->place == NULL) {
            (void)(root_open(mirror, &ignored) == KL_OK);
        }
        status = mirror->place == NULL ? KL_OK : ahead_check(mirror, &facts->meta, true, err);
    }
    return status == KL_OK ? kms_mirror_root_destroy(mirror, err) : status;
}

/* And the root file of a mirror that has one; one that joins gets it at the end, in place of what an interrupted joining left. */
enum kl_status kms_mirror_look(struct kms_mirror *mirror, struct kl_err *err)
{
    struct facts facts;
    enum kl_status status = rows_open(mirror, &facts, err);

    if (status != KL_OK) {
        return status;
    }
    if (facts.joining) {
        return joining_look(mirror, &facts, err);
    }
    if (facts.self == KMS_MIRROR_DESTROYED) {
        return fail_other(err, "its root file was destroyed: drop it");
    }
    if (mirror->place == NULL) {
        status = root_open(mirror, err);
    }
    if (status == KL_OK && facts.has_meta) {
        status = ahead_check(mirror, &facts.meta, true, err);
    }
    return status;
}

/* ---- the end of it ---- */

/* That a root file is missing proves nothing, unless there never was one or its destruction was noted. */
static enum kl_status drop_check(struct kms_mirror *mirror, const struct facts *facts,
                                 struct kl_err *err)
{
    bool with_file;

    kms_mirror_lock(mirror->all);
    with_file = mirror->all->with_file;
    kms_mirror_unlock(mirror->all);
    if (facts->joining || facts->self == KMS_MIRROR_DESTROYED || !with_file ||
        mirror->place != NULL ||
        faccessat(mirror->folder, "root", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return KL_OK;
    }
    return fail_other(err, "its root file is missing");
}

enum kl_status kms_mirror_wipe(struct kms_mirror *mirror, struct kl_err *err)
{
    struct facts facts;
    bool dropping;
    enum kl_status status = rows_open(mirror, &facts, err);

    if (status == KL_OK) {
        status = drop_check(mirror, &facts, err);
    }
    if (status == KL_OK) {
        status = kms_mirror_root_destroy(mirror, err);
    }
    kms_mirror_lock(mirror->all);
    dropping = mirror->dropping;
    kms_mirror_unlock(mirror->all);
    if (status == KL_OK && dropping) {
        struct kl_err ignored = {0};

        (void)(kms_mirror_self_set(mirror, KMS_MIRROR_DESTROYED, &ignored) == KL_OK);
    }
    return status;
}
