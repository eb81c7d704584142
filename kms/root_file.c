#include "kms/root_file_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct kms_root_place_kind root_file_kind;

struct root_file *kms_root_file_of(const struct kms_root_place *place)
{
    assert(place->kind == &root_file_kind);
    return (struct root_file *)place;
}

enum kl_status kms_root_file_fail_io(struct kl_err *err, const char *what)
{
    int reason = errno;

    return kl_fail(err, KL_ERR_IO, "root_file_io", "the root file could not be used",
                   "the root file could not be %s: %s", what, strerror(reason));
}

enum kl_status kms_root_file_fail_foreign(struct kl_err *err)
{
    return kl_fail(
        err, KL_ERR_REFUSED, "root_file_foreign",
        "what lies where the root file should is no root file of this vault: it was not touched; "
        "look what it is, and move it away",
        NULL);
}

enum kl_status kms_root_file_fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                   "no memory can be locked for a root key");
}

/* ---- overwriting ---- */

static enum kl_status write_all(int fd, const unsigned char *bytes, size_t size, off_t at,
                                struct kl_err *err)
{
    size_t done = 0;

    while (done < size) {
        ssize_t part = pwrite(fd, bytes + done, size - done, at + (off_t)done);

        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            return kms_root_file_fail_io(err, "written");
        }
        done += (size_t)part;
    }
    return KL_OK;
}

static enum kl_status bytes_store(struct root_file *file, size_t slot,
                                  const unsigned char bytes[KMS_ROOT_SLOT_BYTES],
                                  struct kl_err *err)
{
    enum kl_status status =
        write_all(file->fd, bytes, KMS_ROOT_SLOT_BYTES, (off_t)(slot * KMS_ROOT_SLOT_BYTES), err);

    if (status == KL_OK && fdatasync(file->fd) != 0) {
        status = kms_root_file_fail_io(err, "synced");
    }
    return status;
}

/* Overwrite, and see whether it went where the old bytes were. */
static enum kl_status slot_overwrite(struct root_file *file, size_t slot,
                                     const unsigned char bytes[KMS_ROOT_SLOT_BYTES],
                                     struct kl_err *err)
{
    struct kms_custodian_report *report = &file->place.report;
    struct kms_extents before;
    struct kms_extents after;
    enum kl_status status;

    kms_extents_read(file->fd, false, &before);
    status = bytes_store(file, slot, bytes, err);
    if (status != KL_OK) {
        return status;
    }
    kms_extents_read(file->fd, false, &after);
    report->in_place = kms_extents_in_place(&before, &after);
    if (!report->in_place && report->finality == KMS_FINALITY_F1) {
        kms_finality_refute(report,
                            before.shared || after.shared
                                ? "another file or a snapshot shares the blocks of the root file"
                                : "the blocks of the root file moved when it was overwritten",
                            "put the root file on a small ext4 or xfs volume of its own");
    }
    return KL_OK;
}

static enum kl_status file_store(struct kms_root_place *place, uint64_t generation,
                                 const unsigned char key[KMS_KEY_BYTES], struct kl_err *err)
{
    struct root_file *file = kms_root_file_of(place);
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    struct kms_root_slot slot;
    enum kl_status status;

    kms_root_slot_wrap(&file->form, file->store_id, generation, key, &slot);
    kms_root_slot_write(&slot, bytes);
    status = slot_overwrite(file, (size_t)(generation % 2), bytes, err);
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(&slot, sizeof slot);
    return status;
}

/* ---- life ---- */

void kms_root_file_close(struct kms_root_place *place)
{
    struct root_file *file = kms_root_file_of(place);

    if (file->fd >= 0) {
        (void)close(file->fd); /* every write was synced */
    }
    kms_root_at_done(&file->at);
    kms_root_form_done(&file->form);
    kl_secret_free(file->passphrase);
    free(file);
}

struct root_file *kms_root_file_new(int folder, const char *path, enum kms_root_kind kind,
                                    bool accept_f0,
                                    const unsigned char store_id[KMS_STORE_ID_BYTES])
{
    struct root_file *file = calloc(1, sizeof *file);
    const char *name = kind == KMS_ROOT_BARE ? "file" : "passphrase";

    if (file == NULL) {
        return NULL;
    }
    file->place.kind = &root_file_kind;
    file->place.accept_f0 = accept_f0;
    memcpy(file->place.report.kind, name, strlen(name) + 1);
    file->fd = -1;
    file->form.kind = kind;
    memcpy(file->store_id, store_id, KMS_STORE_ID_BYTES);
    kms_root_at_init(&file->at, folder, path);
    return file;
}

/* What doctor and backups know of its place. */
static void place_look(struct root_file *file)
{
    struct kms_custodian_report *report = &file->place.report;
    dev_t device = 0;
    ino_t inode = 0;

    kms_finality_of_place(file->fd, report);
    if (kms_root_at_folder(&file->at, &device, &inode)) {
        report->folder_device = (uint64_t)device;
        report->folder_inode = (uint64_t)inode;
    }
}

enum kl_status kms_root_file_lock(int fd, struct kl_err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return KL_OK;
    }
    if (errno == EWOULDBLOCK) {
        return kl_fail(err, KL_ERR_BUSY, "root_file_locked", "another process uses the root file",
                       NULL);
    }
    return kms_root_file_fail_io(err, "locked");
}

/* Noise in both slots, placed on the disk, so that whatever is stored is an overwrite. */
static enum kl_status noise_write(struct root_file *file, struct kl_err *err)
{
    unsigned char noise[KMS_ROOT_SLOT_BYTES];
    enum kl_status status = KL_OK;

    for (size_t i = 0; i < 2 && status == KL_OK; i++) {
        randombytes_buf(noise, sizeof noise);
        status = bytes_store(file, i, noise, err);
    }
    return status;
}

static enum kl_status file_fill(struct root_file *file, struct kl_err *err)
{
    struct kms_extents placed;
    enum kl_status status;

    kms_finality_prepare(file->fd);
    place_look(file);
    status = kms_root_file_lock(file->fd, err);
    if (status == KL_OK) {
        status = noise_write(file, err);
    }
    if (status == KL_OK && fsync(file->fd) != 0) {
        status = kms_root_file_fail_io(err, "synced");
    }
    if (status == KL_OK) {
        status = kms_root_at_sync(&file->at) ? KL_OK : kms_root_file_fail_io(err, "synced");
    }
    if (status == KL_OK) {
        kms_extents_read(file->fd, true, &placed); /* delayed allocation ends here */
    }
    return status;
}

/* The file itself; form becomes the place's. */
static enum kl_status file_create(int folder, const char *path, bool accept_f0,
                                  struct kms_root_form *form,
                                  const unsigned char store_id[KMS_STORE_ID_BYTES],
                                  struct kms_root_place **ret_place, struct kl_err *err)
{
    struct root_file *file = kms_root_file_new(folder, path, form->kind, accept_f0, store_id);
    enum kl_status status;

    if (file == NULL) {
        return kms_root_file_fail_memory(err);
    }
    file->fd = kms_root_at_open(&file->at, O_RDWR | O_CREAT | O_EXCL);
    if (file->fd < 0) {
        status = errno == EEXIST
                     ? kl_fail(err, KL_ERR_EXISTS, "root_file_exists",
                               "the root file is there already; it is never overwritten", NULL)
                     : kms_root_file_fail_io(err, "made");
        kms_root_file_close(&file->place);
        return status;
    }
    status = file_fill(file, err);
    if (status != KL_OK) {
        (void)kms_root_at_remove(&file->at, file->fd); /* nothing but noise */
        kms_root_file_close(&file->place);
        return status;
    }
    file->form = *form;
    file->form_given = true;
    memset(form, 0, sizeof *form);
    *ret_place = &file->place;
    return KL_OK;
}

enum kl_status kms_root_file_make(const struct kms_custodian_options *options,
                                  const struct kms_custodian *custodian,
                                  const unsigned char store_id[KMS_STORE_ID_BYTES],
                                  struct kms_root_place **ret_place, struct kl_err *err)
{
    struct kms_root_form form;
    enum kl_status status = kms_root_form_make(options, custodian->kind, &form, err);

    if (status != KL_OK) {
        return status;
    }
    status =
        file_create(AT_FDCWD, custodian->path, options->accept_f0, &form, store_id, ret_place, err);
    kms_root_form_done(&form);
    return status;
}

enum kl_status kms_root_file_make_like(int folder, const char *path, bool accept_f0,
                                       const struct kms_root_form *form,
                                       const unsigned char store_id[KMS_STORE_ID_BYTES],
                                       struct kms_root_place **ret_place, struct kl_err *err)
{
    struct kms_root_form copy;
    enum kl_status status = kms_root_form_copy(form, &copy, err);

    if (status != KL_OK) {
        return status;
    }
    status = file_create(folder, path, accept_f0, &copy, store_id, ret_place, err);
    kms_root_form_done(&copy);
    return status;
}

/* Overwrite both slots with noise, where there are any; then the file goes, if it is still the one of its name. */
static enum kl_status file_wipe(struct kms_root_place *place, struct kl_err *err)
{
    struct root_file *file = kms_root_file_of(place);
    unsigned char noise[KMS_ROOT_SLOT_BYTES];
    enum kl_status status = KL_OK;
    struct stat facts;

    if (fstat(file->fd, &facts) != 0) {
        return kms_root_file_fail_io(err, "read");
    }
    if (!S_ISREG(facts.st_mode) || facts.st_size > KMS_ROOT_FILE_BYTES) {
        return kms_root_file_fail_foreign(err);
    }
    for (size_t i = 0; i < 2 && status == KL_OK && facts.st_size == KMS_ROOT_FILE_BYTES; i++) {
        randombytes_buf(noise, sizeof noise);
        status = slot_overwrite(file, i, noise, err);
    }
    if (status != KL_OK) {
        return status;
    }
    return kms_root_at_remove(&file->at, file->fd) ? KL_OK : kms_root_file_fail_io(err, "removed");
}

/* ---- reading ---- */

static enum kl_status read_slots(int fd, struct kms_root_slot slots[2], bool valid[2],
                                 struct kl_err *err)
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    enum kl_status status = KL_OK;
    struct stat facts;

    if (fstat(fd, &facts) != 0) {
        return kms_root_file_fail_io(err, "read");
    }
    if (!S_ISREG(facts.st_mode) || facts.st_size != KMS_ROOT_FILE_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "root_file_corrupt", "this is not a root file", NULL);
    }
    for (size_t i = 0; i < 2 && status == KL_OK; i++) {
        ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)(i * KMS_ROOT_SLOT_BYTES));

        if (got < 0) {
            status = kms_root_file_fail_io(err, "read");
            break;
        }
        /* A generation in the other's slot was put there by hand. */
        valid[i] = got == (ssize_t)sizeof bytes && kms_root_slot_parse(bytes, &slots[i]) &&
                   slots[i].generation % 2 == i;
    }
    sodium_memzero(bytes, sizeof bytes);
    return status;
}

static enum kl_status refuse_generation(const struct kms_root_slot slots[2], const bool valid[2],
                                        uint64_t generation, struct kl_err *err)
{
    unsigned long long held[2] = {valid[0] ? slots[0].generation : 0,
                                  valid[1] ? slots[1].generation : 0};
    unsigned long long newest = held[0] > held[1] ? held[0] : held[1];

    return kl_failf(
        err, KL_ERR_REFUSED, "root_key_generation",
        "the key store is of generation %llu, the root file holds generations %llu and %llu: the key "
        "store is %s than the root file, a copy from %s an erasure or a rotation, and its keys are gone",
        (unsigned long long)generation, held[0] < held[1] ? held[0] : held[1], newest,
        generation < newest ? "older" : "newer", generation < newest ? "before" : "after");
}

/* The slot of that generation of that store, or why there is none. */
static enum kl_status choose_slot(const struct root_file *file, const struct kms_root_slot slots[2],
                                  const bool valid[2], uint64_t generation,
                                  const struct kms_root_slot **ret_slot, struct kl_err *err)
{
    size_t mine = (size_t)(generation % 2);

    if (!valid[0] && !valid[1]) {
        return kl_fail(err, KL_ERR_CORRUPT, "root_file_corrupt", "the root file is damaged",
                       "neither slot of the root file has a right checksum");
    }
    for (size_t i = 0; i < 2; i++) {
        if (valid[i] && memcmp(slots[i].store_id, file->store_id, KMS_STORE_ID_BYTES) != 0) {
            return kl_fail(err, KL_ERR_REFUSED, "root_file_other_store",
                           "the root file belongs to another key store", NULL);
        }
    }
    if (!valid[mine] || slots[mine].generation != generation) {
        return refuse_generation(slots, valid, generation, err);
    }
    if (slots[mine].kind != file->form.kind) {
        return kl_fail(err, KL_ERR_INVALID, "custodian_kind",
                       slots[mine].kind == KMS_ROOT_BARE
                           ? "the root file has no passphrase: name it with file:"
                           : "the root file has a passphrase: name it with passphrase:",
                       NULL);
    }
    *ret_slot = &slots[mine];
    return KL_OK;
}

/* The passphrase makes its key once, with the salt of the slot in use. */
static enum kl_status form_take(struct root_file *file, const struct kms_root_slot *slot,
                                struct kl_err *err)
{
    struct kms_root_form form = kms_root_form_of(slot);
    enum kl_status status = KL_OK;

    if (file->form_given) {
        return KL_OK;
    }
    if (form.kind == KMS_ROOT_PASSPHRASE) {
        status = kms_root_form_derive(&form, (const char *)kl_secret_peek(file->passphrase),
                                      kl_secret_size(file->passphrase), err);
    }
    if (status == KL_OK) {
        kms_root_form_done(&file->form);
        file->form = form;
    }
    return status;
}

static enum kl_status file_load(struct kms_root_place *place, uint64_t generation,
                                unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err)
{
    struct root_file *file = kms_root_file_of(place);
    struct kms_root_slot slots[2];
    const struct kms_root_slot *slot = NULL;
    bool valid[2] = {false, false};
    enum kl_status status = read_slots(file->fd, slots, valid, err);

    if (status == KL_OK) {
        status = choose_slot(file, slots, valid, generation, &slot, err);
    }
    if (status == KL_OK) {
        status = form_take(file, slot, err);
    }
    if (status == KL_OK) {
        status = kms_root_slot_unwrap(&file->form, slot, ret_key, err);
    }
    if (status == KL_OK) {
        file->form_given = true;
        kl_secret_free(file->passphrase);
        file->passphrase = NULL;
    }
    sodium_memzero(slots, sizeof slots);
    return status;
}

enum kl_status kms_root_file_find(struct root_file *file, struct kl_err *err)
{
    file->fd = kms_root_at_open(&file->at, O_RDWR | O_NONBLOCK);
    if (file->fd >= 0) {
        return KL_OK;
    }
    if (errno == ELOOP) {
        return kms_root_file_fail_foreign(err);
    }
    return errno == ENOENT ? kl_fail(err, KL_ERR_NOT_FOUND, "root_file_missing",
                                     "there is no root file at that place", NULL)
                           : kms_root_file_fail_io(err, "opened");
}

static enum kl_status file_open(struct root_file *file, struct kl_err *err)
{
    enum kl_status status = kms_root_file_find(file, err);

    if (status != KL_OK) {
        return status;
    }
    place_look(file);
    status = kms_root_place_accept(&file->place, err);
    return status == KL_OK ? kms_root_file_lock(file->fd, err) : status;
}

enum kl_status kms_root_file_open(const struct kms_custodian_options *options,
                                  const struct kms_custodian *custodian,
                                  const unsigned char store_id[KMS_STORE_ID_BYTES],
                                  struct kms_root_place **ret_place, struct kl_err *err)
{
    struct root_file *file =
        kms_root_file_new(AT_FDCWD, custodian->path, custodian->kind, options->accept_f0, store_id);
    enum kl_status status = KL_OK;

    if (file == NULL) {
        return kms_root_file_fail_memory(err);
    }
    if (custodian->kind == KMS_ROOT_PASSPHRASE) {
        file->passphrase = kl_secret_new(options->passphrase_bytes);
        if (file->passphrase == NULL) {
            status = kms_root_file_fail_memory(err);
        } else {
            memcpy(kl_secret_bytes(file->passphrase), options->passphrase,
                   options->passphrase_bytes);
        }
    }
    if (status == KL_OK) {
        status = file_open(file, err);
    }
    if (status != KL_OK) {
        kms_root_file_close(&file->place);
        return status;
    }
    *ret_place = &file->place;
    return KL_OK;
}

enum kl_status kms_root_file_open_like(int folder, const char *path, bool accept_f0,
                                       const struct kms_root_form *form,
                                       const unsigned char store_id[KMS_STORE_ID_BYTES],
                                       struct kms_root_place **ret_place, struct kl_err *err)
{
    struct root_file *file = kms_root_file_new(folder, path, form->kind, accept_f0, store_id);
    enum kl_status status;
    bool whole = false;

    if (file == NULL) {
        return kms_root_file_fail_memory(err);
    }
    file->form_given = true;
    status = kms_root_form_copy(form, &file->form, err);
    if (status == KL_OK) {
        status = file_open(file, err);
    }
    if (status == KL_OK && (!kms_root_at_is_plain(file->fd, &whole) || !whole)) {
        status = kms_root_file_fail_foreign(err);
    }
    if (status != KL_OK) {
        kms_root_file_close(&file->place);
        return status;
    }
    *ret_place = &file->place;
    return KL_OK;
}

/* ---- what is known of a root file ---- */

bool kms_root_place_is_file(const struct kms_root_place *place)
{
    return place->kind == &root_file_kind;
}

const struct kms_root_form *kms_root_file_form(const struct kms_root_place *place)
{
    return &kms_root_file_of(place)->form;
}

void kms_root_file_form_swap(struct kms_root_place *place, struct kms_root_form *form)
{
    struct root_file *file = kms_root_file_of(place);
    struct kms_root_form before = file->form;
    const char *name = form->kind == KMS_ROOT_BARE ? "file" : "passphrase";

    file->form = *form;
    *form = before;
    memcpy(file->place.report.kind, name, strlen(name) + 1);
}

enum kl_status kms_root_file_generations(struct kms_root_place *place, uint64_t ret_generations[2],
                                         struct kl_err *err)
{
    struct root_file *file = kms_root_file_of(place);
    struct kms_root_slot slots[2];
    bool valid[2] = {false, false};
    enum kl_status status = read_slots(file->fd, slots, valid, err);

    for (size_t i = 0; i < 2 && status == KL_OK; i++) {
        bool mine = valid[i] && memcmp(slots[i].store_id, file->store_id, KMS_STORE_ID_BYTES) == 0;

        ret_generations[i] = mine ? slots[i].generation : 0;
    }
    sodium_memzero(slots, sizeof slots);
    return status;
}

bool kms_root_file_is_at(const struct kms_root_place *place, const char *path)
{
    struct stat mine;
    struct stat there;

    return fstat(kms_root_file_of(place)->fd, &mine) == 0 && lstat(path, &there) == 0 &&
           mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static const struct kms_root_place_kind root_file_kind = {
    .store = file_store, .load = file_load, .wipe = file_wipe, .close = kms_root_file_close};
