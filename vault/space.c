#include "vault/space.h"

#include "kluis/base/log.h"
#include "vault/stamp.h"
#include "vault/upkeep.h"
#include "vault/vault_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_INTERVAL_MS 1000
#define BALLAST_NAME "ballast"
#define MIB ((uint64_t)1024 * 1024)
/* Ballast is made where there is so much, low or not: what it takes, it no longer lacks. */
#define BALLAST_ROOM_BYTES (VAULT_SPACE_BALLAST_BYTES + 2 * VAULT_SPACE_TABLES_BYTES)
/* st_blocks counts these, whatever the file system's blocks are: stat(2). */
#define STAT_BLOCK_BYTES 512

static const char *const NAMES[VAULT_SPACE_PLACES] = {
    [VAULT_SPACE_DATA] = "data", [VAULT_SPACE_KEYS] = "keys", [VAULT_SPACE_FILES] = "files"};

_Static_assert(VAULT_SPACE_BALLAST_BYTES > VAULT_SPACE_TABLES_BYTES, "it is enough for a start");

/*
 * ballast: its path, empty where this place has none of its own. owner: the place whose ballast lies on the same file system; NULL: there is none. cannot:
 * it takes no blocks beforehand, which was logged.
 */
struct place {
    char path[VAULT_PATH_MAX_BYTES];
    char ballast[VAULT_PATH_MAX_BYTES];
    struct place *owner;
    bool seen; /* it could be looked at */
    bool cannot;
    atomic_uint_fast64_t free_bytes;
    atomic_bool low;
    atomic_uint_fast64_t ballast_bytes;
};

struct vault_space {
    char store[VAULT_STORE_NAME_MAX_BYTES + 1];
    uint64_t reserve_bytes;
    bool look_only;
    vault_space_probe probe;
    atomic_bool looking; /* whoever set it has all that is no atomic */
    atomic_bool low;
    struct place places[VAULT_SPACE_PLACES];
};

const char *vault_space_place_name(enum vault_space_place place)
{
    return NAMES[place];
}

/* ---- thresholds ---- */

/* From here on a place that was low is low no more. */
static uint64_t enough(const struct vault_space *space)
{
    return space->reserve_bytes + space->reserve_bytes / 4;
}

/* What a place is to have of ballast, and has not. */
static uint64_t lacking(const struct place *place)
{
    uint64_t has = 0;

    if (place->owner == NULL || place->owner->cannot) {
        return 0;
    }
    has = atomic_load(&place->owner->ballast_bytes);
    return has < VAULT_SPACE_BALLAST_BYTES ? VAULT_SPACE_BALLAST_BYTES - has : 0;
}

/* ---- ballast ---- */

static void ballast_log(const struct vault_space *space, size_t i, const char *event)
{
    kl_log(KL_LOG_WARNING, event, KL_LOG_TEXT("store", space->store),
           KL_LOG_TEXT("place", NAMES[i]));
}

/* Where a place is on another file system than the data directory, its ballast lies there; the first of those that share one has it. */
static enum kl_status ballast_place(struct vault_space *space, const char *data_dir,
                                    enum vault_space_place i, struct kl_err *err)
{
    struct place *place = &space->places[i];
    struct place *data = &space->places[VAULT_SPACE_DATA];
    struct stat dir = {0};
    struct stat own = {0};
    struct stat of_data = {0};

    if (space->reserve_bytes == 0 || stat(data_dir, &dir) != 0 || stat(place->path, &own) != 0 ||
        stat(data->path, &of_data) != 0) {
        return KL_OK;
    }
    if (i != VAULT_SPACE_DATA && own.st_dev == of_data.st_dev) {
        place->owner = data->owner;
        return KL_OK;
    }
    if (i == VAULT_SPACE_FILES) { /* nothing of what an erasure writes lies there */
        return KL_OK;
    }
    place->owner = place;
    return vault_path(own.st_dev == dir.st_dev ? data_dir : place->path, BALLAST_NAME,
                      place->ballast, err);
}

static uint64_t ballast_has(const struct place *place)
{
    struct stat file = {0};

    return place->ballast[0] != '\0' && lstat(place->ballast, &file) == 0
               ? (uint64_t)file.st_blocks * STAT_BLOCK_BYTES
               : 0;
}

static void ballast_give_up(struct vault_space *space, size_t i)
{
    struct place *place = &space->places[i];

    if (atomic_load(&place->ballast_bytes) > 0 && unlink(place->ballast) == 0) {
        ballast_log(space, i, "ballast_given_up");
        atomic_store(&place->ballast_bytes, 0);
    }
}

/* Its blocks lie behind its end, so that it has none to be copied. */
static void ballast_make(struct vault_space *space, size_t i)
{
    struct place *place = &space->places[i];
    int fd = open(place->ballast, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)VAULT_SPACE_BALLAST_BYTES) == 0) {
        atomic_store(&place->ballast_bytes, ballast_has(place));
    } else if (errno != ENOSPC) { /* somebody else was faster */
        kl_log(KL_LOG_WARNING, "ballast_not_made", KL_LOG_TEXT("store", space->store),
               KL_LOG_TEXT("place", NAMES[i]), KL_LOG_TEXT("text", strerror(errno)));
        place->cannot = true;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (ballast_has(place) == 0) {
        (void)unlink(place->ballast);
    }
}

static void ballast_see(struct vault_space *space, size_t i, bool make)
{
    struct place *place = &space->places[i];

    if (place->ballast[0] == '\0' || !place->seen || space->look_only) {
        return;
    }
    if (atomic_load(&place->free_bytes) < VAULT_SPACE_TABLES_BYTES) {
        ballast_give_up(space, i);
    } else if (make && lacking(place) > 0 &&
               atomic_load(&place->free_bytes) >= BALLAST_ROOM_BYTES) {
        ballast_make(space, i);
    }
}

/* ---- looking ---- */

static void place_look(struct vault_space *space, size_t i)
{
    struct place *place = &space->places[i];
    bool was = atomic_load(&place->low);
    struct statvfs disk;
    uint64_t bytes;
    bool low;

    if (space->probe(place->path, &disk) != 0) {
        return;
    }
    bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    low = bytes < (was ? enough(space) : space->reserve_bytes) + lacking(place);
    place->seen = true;
    atomic_store(&place->free_bytes, bytes);
    atomic_store(&place->low, low);
    if (low != was && !space->look_only) {
        kl_log(low ? KL_LOG_ERROR : KL_LOG_INFO, low ? "storage_low" : "storage_enough",
               KL_LOG_TEXT("store", space->store), KL_LOG_TEXT("place", NAMES[i]),
               KL_LOG_INT("free_mib", bytes / MIB),
               KL_LOG_INT("reserve_mib", space->reserve_bytes / MIB));
    }
}

void vault_space_look(struct vault_space *space, bool make)
{
    bool low = false;

    if (atomic_exchange(&space->looking, true)) {
        return;
    }
    for (size_t i = 0; i < VAULT_SPACE_PLACES; i++) {
        atomic_store(&space->places[i].ballast_bytes, ballast_has(&space->places[i]));
    }
    for (size_t i = 0; i < VAULT_SPACE_PLACES; i++) {
        place_look(space, i);
        low = low || atomic_load(&space->places[i].low);
    }
    atomic_store(&space->low, low);
    for (size_t i = 0; i < VAULT_SPACE_PLACES; i++) {
        ballast_see(space, i, make);
    }
    atomic_store(&space->looking, false);
}

bool vault_space_is_low(const struct vault_space *space)
{
    return space != NULL && atomic_load_explicit(&space->low, memory_order_relaxed);
}

void vault_space_tell(const struct vault_space *space, struct vault_space_figures *ret)
{
    memset(ret, 0, sizeof *ret);
    if (space == NULL) {
        return;
    }
    ret->reserve_bytes = space->reserve_bytes;
    ret->low = vault_space_is_low(space);
    for (size_t i = 0; i < VAULT_SPACE_PLACES; i++) {
        ret->places[i].free_bytes = atomic_load(&space->places[i].free_bytes);
        ret->places[i].low = atomic_load(&space->places[i].low);
        ret->ballast_bytes += atomic_load(&space->places[i].ballast_bytes);
    }
}

void vault_space_reason(const struct vault_space *space, char *ret, size_t ret_bytes)
{
    ret[0] = '\0';
    for (size_t i = 0; i < VAULT_SPACE_PLACES && ret[0] == '\0'; i++) {
        const struct place *place = &space->places[i];

        if (atomic_load(&place->low)) {
            (void)snprintf(ret, ret_bytes, "%s/ has %llu MiB free, and %llu are kept for erasures",
                           NAMES[i], (unsigned long long)(atomic_load(&place->free_bytes) / MIB),
                           (unsigned long long)((space->reserve_bytes + lacking(place)) / MIB));
        }
    }
}

/* ---- life ---- */

enum kl_status vault_space_new(const char *data_dir, const char *store, uint64_t reserve_bytes,
                               bool look_only, vault_space_probe probe, struct vault_space **ret,
                               struct kl_err *err)
{
    struct vault_space *space = calloc(1, sizeof *space);
    enum kl_status status = KL_OK;

    if (space == NULL) {
        return kl_fail_memory(err);
    }
    (void)snprintf(space->store, sizeof space->store, "%s", store);
    space->reserve_bytes = reserve_bytes;
    space->look_only = look_only;
    space->probe = probe != NULL ? probe : statvfs;
    for (size_t i = 0; i < VAULT_SPACE_PLACES && status == KL_OK; i++) {
        status = vault_path(data_dir, NAMES[i], space->places[i].path, err);
    }
    for (size_t i = 0; i < VAULT_SPACE_PLACES && status == KL_OK; i++) {
        status = ballast_place(space, data_dir, (enum vault_space_place)i, err);
    }
    if (status != KL_OK) {
        vault_space_free(space);
        return status;
    }
    vault_space_look(space, false);
    *ret = space;
    return KL_OK;
}

void vault_space_free(struct vault_space *space)
{
    free(space);
}

/* ---- of a vault ---- */

enum kl_status vault_space_check(struct vault *vault, bool when_low, struct kl_err *err)
{
    if (!vault_space_is_low(vault->space)) {
        return KL_OK;
    }
    vault_space_look(vault->space, false);
    if (when_low || !vault_space_is_low(vault->space)) {
        return KL_OK;
    }
    return kl_fail(
        err, KL_ERR_UNAVAILABLE, "storage_low",
        "the vault's disk has less room than is kept for erasures: only these, and what else protects people or frees room, are done "
        "until somebody makes room on it",
        NULL);
}

void vault_space_figures(struct vault *vault, struct vault_space_figures *ret)
{
    vault_space_tell(vault->space, ret);
}

static enum kl_status look(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    (void)now_us;
    (void)err;
    vault_space_look(vault->space, true);
    return KL_OK;
}

const struct vault_upkeep_task vault_space_task = {"space", LOOK_INTERVAL_MS, look};
