/*
 * A mirror gets in step again: its rows, then, with the turn, so that the root keys stay as they are, both of those. That destroys every older
 * one which it held, and only then does it count.
 */
#include "kms/mirrors_internal.h"

#include <sodium.h>
#include <string.h>

/* ---- root keys ---- */

/* Slots are written in the form that counts now. */
static enum kl_status form_update(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms_root_form form;
    uint64_t number = 0;
    bool with_file = false;
    enum kl_status status;

    kms_mirror_lock(mirror->all);
    number = mirror->all->form_number;
    kms_mirror_unlock(mirror->all);
    if (mirror->place != NULL && number == mirror->form_number) {
        return KL_OK;
    }
    status = kms_mirror_form_now(mirror, &with_file, &form, &number, err);
    if (status != KL_OK) {
        return status;
    }
    if (!with_file) {
        status = KL_OK;
    } else if (mirror->place != NULL) {
        kms_root_file_form_swap(mirror->place, &form);
    } else {
        status = kms_root_file_make_like(mirror->folder, "root", mirror->all->accept_f0, &form,
                                         mirror->all->store_id, &mirror->place, err);
    }
    if (status == KL_OK) {
        mirror->form_number = number;
    }
    kms_root_form_done(&form);
    return status;
}

/*
 * False: it is to end, or is being dropped outside of a commit. Its disk may have hung until now, and whoever forgot it was told that no
 * root key lies there.
 */
static bool holds_keys_from_now(struct kms_mirror *mirror)
{
    bool goes_on;

    kms_mirror_lock(mirror->all);
    goes_on = !mirror->stop && (!mirror->dropping || mirror->state == KMS_MIRROR_IN_STEP);
    mirror->holds_keys = mirror->holds_keys || goes_on;
    kms_mirror_unlock(mirror->all);
    return goes_on;
}

static enum kl_status place_store(struct kms_mirror *mirror, uint64_t generation,
                                  const struct kl_secret *key, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status;

    if (!holds_keys_from_now(mirror)) {
        return kms_mirror_fail_stopping(err);
    }
    status = kms_root_place_store(mirror->place, generation, kl_secret_peek(key), &cause);
    if (status == KL_OK) {
        status = kms_root_place_accept(mirror->place, &cause);
    }
    if (status != KL_OK) {
        return kms_mirror_fail(err, status, "its root file", &cause);
    }
    kms_mirror_lock(mirror->all);
    mirror->report = mirror->place->report;
    kms_mirror_unlock(mirror->all);
    return KL_OK;
}

enum kl_status kms_mirror_store(struct kms_mirror *mirror, struct kl_err *err)
{
    bool with_file;
    enum kl_status status;

    kms_mirror_lock(mirror->all);
    with_file = mirror->all->with_file;
    kms_mirror_unlock(mirror->all);
    if (!with_file) {
        status = mirror->place == NULL ? KL_OK : kms_mirror_root_destroy(mirror, err);
    } else {
        status = form_update(mirror, err);
        if (status == KL_OK) {
            status = place_store(mirror, mirror->store_generation, mirror->store_key, err);
        }
    }
    sodium_memzero(kl_secret_bytes(mirror->store_key), KMS_KEY_BYTES);
    return status;
}

/* The key in use is written again only where it is not whole: a torn write of it would cost more than it gives. */
static enum kl_status current_store(struct kms_mirror *mirror, uint64_t generation,
                                    struct kl_err *err)
{
    unsigned char *found = kl_secret_bytes(mirror->store_key);
    struct kl_err ignored = {0};
    enum kl_status status = kms_root_place_load(mirror->place, generation, found, &ignored);
    bool same = status == KL_OK &&
                sodium_memcmp(found, kl_secret_peek(mirror->current), KMS_KEY_BYTES) == 0;

    sodium_memzero(found, KMS_KEY_BYTES);
    return same ? KL_OK : place_store(mirror, generation, mirror->current, err);
}

/* With the turn. */
static enum kl_status keys_store(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    uint64_t generation;
    bool with_file;
    enum kl_status status;

    if (!kms_mirror_inside(mirror)) {
        return kms_mirror_fail_stopping(err);
    }
    generation = kms->root.generation;
    memcpy(kl_secret_bytes(mirror->current), kl_secret_peek(kms->root.current), KMS_KEY_BYTES);
    memcpy(kl_secret_bytes(mirror->staged), kl_secret_peek(kms->root.staged), KMS_KEY_BYTES);
    kms_mirror_outside(mirror);
    kms_mirror_lock(mirror->all);
    with_file = mirror->all->with_file;
    kms_mirror_unlock(mirror->all);
    if (!with_file) {
        status = kms_mirror_root_destroy(mirror, err);
    } else {
        status = form_update(mirror, err);
        if (status == KL_OK) {
            status = current_store(mirror, generation, err);
        }
        if (status == KL_OK) {
            status = place_store(mirror, generation + 1, mirror->staged, err);
        }
    }
    sodium_memzero(kl_secret_bytes(mirror->current), KMS_KEY_BYTES);
    sodium_memzero(kl_secret_bytes(mirror->staged), KMS_KEY_BYTES);
    kms_mirror_lock(mirror->all);
    mirror->generation = status == KL_OK ? generation : mirror->generation;
    kms_mirror_unlock(mirror->all);
    return status;
}

static enum kl_status turn_take(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms_mirrors *all = mirror->all;
    bool stop;

    kms_mirror_lock(all);
    mirror->at_gate = true;
    while (all->turn && !mirror->stop && !mirror->dropping) {
        if (kms_mirror_commit_under_way(all)) {
            mirror->progress++; /* it does not hang */
        }
        (void)pthread_cond_wait(&all->changed, &all->lock);
    }
    mirror->at_gate = false;
    stop = mirror->stop || mirror->dropping;
    if (!stop) {
        all->turn = true;
        mirror->has_turn = true;
    }
    kms_mirror_unlock(all);
    return stop ? kms_mirror_fail_stopping(err) : KL_OK;
}

static void turn_give(struct kms_mirror *mirror)
{
    struct kms_mirrors *all = mirror->all;

    kms_mirror_lock(all);
    if (mirror->has_turn) {
        mirror->has_turn = false;
        all->turn = false;
        (void)pthread_cond_broadcast(&all->changed);
    }
    kms_mirror_unlock(all);
}

/* In step from the next batch on; those that still wait in the queue are written before it, and who posts waits for all of them. */
static enum kl_status step_in(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    enum kl_status status = kms_mirror_behind_check(mirror, err);

    if (status != KL_OK) {
        return status;
    }
    if (!kms_mirror_inside(mirror)) {
        return kms_mirror_fail_stopping(err);
    }
    kms_mirror_gate_take(mirror);
    kms_mirror_lock(mirror->all);
    if (mirror->taking && !mirror->dropping) {
        kms_mirror_in_step(mirror);
    } else {
        status = kl_fail(err, KL_ERR_BUSY, "mirror_behind", "it fell too far behind", NULL);
    }
    kms_mirror_unlock(mirror->all);
    kms_rows_gate_give(&kms->rows);
    kms_mirror_outside(mirror);
    return status;
}

/* The turn is held. Rows first, then the root keys, then the mark that it is whole. */
static enum kl_status finish(struct kms_mirror *mirror, struct kl_err *err)
{
    enum kl_status status = kms_mirror_drain(mirror, kms_mirror_queue_count(mirror), err);

    if (status == KL_OK) {
        status = kms_mirror_behind_check(mirror, err);
    }
    if (status == KL_OK) {
        status = keys_store(mirror, err);
    }
    if (status == KL_OK) {
        status = kms_mirror_self_set(mirror, KMS_MIRROR_WHOLE, err);
    }
    return status == KL_OK ? step_in(mirror, err) : status;
}

enum kl_status kms_mirror_sync(struct kms_mirror *mirror, struct kl_err *err)
{
    bool same = false;
    enum kl_status status = kms_mirror_look(mirror, err);

    if (status == KL_OK) {
        status = kms_mirror_take(mirror, &same, err);
    }
    if (status == KL_OK && !same) {
        status = kms_mirror_copy(mirror, err);
    }
    if (status == KL_OK) {
        status = turn_take(mirror, err);
    }
    if (status == KL_OK) {
        status = finish(mirror, err);
        turn_give(mirror);
    }
    return status;
}
