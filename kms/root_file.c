#include "kms/root_file.h"

#include "kluis/base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(KMS_ROOT_SALT_BYTES == crypto_pwhash_SALTBYTES, "Argon2id's salt");
_Static_assert(KMS_ROOT_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "XChaCha20's nonce");
_Static_assert(KMS_ROOT_WRAPPED_BYTES == KMS_KEY_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "a wrapped root key");

struct kms_root_file {
    int fd;
    struct kms_root_slot form;  /* what all slots of the file share; its key stays empty */
    struct kl_secret *wrapping; /* made of the passphrase; NULL when bare */
    struct kl_secret *current;
    struct kl_secret *staged; /* NULL until kms_root_file_restage() */
    struct kl_secret *next; /* made by kms_root_file_ready() for the next kms_root_file_advance() */
    uint64_t generation;
    bool accept_f0;
    struct kms_custodian_report report;
};

static enum kl_status fail_io(struct kl_err *err, const char *what)
{
    int reason = errno;

    return kl_fail(err, KL_ERR_IO, "root_file_io", "the root file could not be used",
                   "the root file could not be %s: %s", what, strerror(reason));
}

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                   "no memory can be locked for a root key");
}

/* ---- wrapping ---- */

static enum kl_status wrapping_make(struct kms_root_file *file,
                                    const struct kms_custodian_options *options, struct kl_err *err)
{
    if (file->form.kind == KMS_ROOT_BARE) {
        return KL_OK;
    }
    file->wrapping = kl_secret_new(KMS_KEY_BYTES);
    if (file->wrapping == NULL) {
        return fail_memory(err);
    }
    if (crypto_pwhash(kl_secret_bytes(file->wrapping), KMS_KEY_BYTES, options->passphrase,
                      options->passphrase_bytes, file->form.salt, file->form.passes,
                      (size_t)file->form.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "Argon2id needs %llu bytes of memory",
                       (unsigned long long)file->form.memory_bytes);
    }
    return KL_OK;
}

/* The header that the wrapped key is bound to: the slot as it will be written, up to the nonce. */
static void slot_header(const struct kms_root_slot *slot,
                        unsigned char ret_header[KMS_ROOT_HEADER_BYTES])
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];

    kms_root_slot_write(slot, bytes);
    memcpy(ret_header, bytes, KMS_ROOT_HEADER_BYTES);
    sodium_memzero(bytes, sizeof bytes);
}

static void slot_wrap(const struct kms_root_file *file, const struct kl_secret *key,
                      struct kms_root_slot *slot)
{
    unsigned char header[KMS_ROOT_HEADER_BYTES];

    memset(slot->key, 0, sizeof slot->key);
    if (file->wrapping == NULL) {
        memcpy(slot->key, kl_secret_peek(key), KMS_KEY_BYTES);
        return;
    }
    slot_header(slot, header);
    randombytes_buf(slot->nonce, sizeof slot->nonce);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(slot->key, NULL, kl_secret_peek(key),
                                                     KMS_KEY_BYTES, header, sizeof header, NULL,
                                                     slot->nonce, kl_secret_peek(file->wrapping));
}

static enum kl_status slot_unwrap(const struct kms_root_file *file,
                                  const struct kms_root_slot *slot, struct kl_secret **ret_key,
                                  struct kl_err *err)
{
    unsigned char header[KMS_ROOT_HEADER_BYTES];
    struct kl_secret *key = kl_secret_new(KMS_KEY_BYTES);

    if (key == NULL) {
        return fail_memory(err);
    }
    if (file->wrapping == NULL) {
        memcpy(kl_secret_bytes(key), slot->key, KMS_KEY_BYTES);
        *ret_key = key;
        return KL_OK;
    }
    slot_header(slot, header);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            kl_secret_bytes(key), NULL, NULL, slot->key, sizeof slot->key, header, sizeof header,
            slot->nonce, kl_secret_peek(file->wrapping)) != 0) {
        kl_secret_free(key);
        return kl_fail(err, KL_ERR_UNAUTHORISED, "wrong_passphrase",
                       "the passphrase does not open the root file", NULL);
    }
    *ret_key = key;
    return KL_OK;
}

static struct kl_secret *fresh_key(void)
{
    struct kl_secret *key = kl_secret_new(KMS_KEY_BYTES);

    if (key != NULL) {
        randombytes_buf(kl_secret_bytes(key), KMS_KEY_BYTES);
    }
    return key;
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
            return fail_io(err, "written");
        }
        done += (size_t)part;
    }
    return KL_OK;
}

static enum kl_status slot_store(struct kms_root_file *file, uint64_t generation,
                                 const struct kl_secret *key, struct kl_err *err)
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    struct kms_root_slot slot = file->form;
    enum kl_status status;

    slot.generation = generation;
    slot_wrap(file, key, &slot);
    kms_root_slot_write(&slot, bytes);
    status = write_all(file->fd, bytes, sizeof bytes, (off_t)(generation % 2) * KMS_ROOT_SLOT_BYTES,
                       err);
    if (status == KL_OK && fdatasync(file->fd) != 0) {
        status = fail_io(err, "synced");
    }
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(&slot, sizeof slot);
    return status;
}

/* Overwrite, and see whether it went where the old bytes were. */
static enum kl_status slot_overwrite(struct kms_root_file *file, uint64_t generation,
                                     const struct kl_secret *key, struct kl_err *err)
{
    struct kms_extents before;
    struct kms_extents after;
    enum kl_status status;

    kms_extents_read(file->fd, false, &before);
    status = slot_store(file, generation, key, err);
    if (status != KL_OK) {
        return status;
    }
    kms_extents_read(file->fd, false, &after);
    file->report.in_place = kms_extents_in_place(&before, &after);
    if (!file->report.in_place && file->report.finality == KMS_FINALITY_F1) {
        kms_finality_refute(&file->report,
                            before.shared || after.shared
                                ? "another file or a snapshot shares the blocks of the root file"
                                : "the blocks of the root file moved when it was overwritten",
                            "put the root file on a small ext4 or xfs volume of its own");
    }
    return KL_OK;
}

enum kl_status kms_root_file_restage(struct kms_root_file *file, struct kl_err *err)
{
    struct kl_secret *fresh = fresh_key();
    enum kl_status status;

    if (fresh == NULL) {
        return fail_memory(err);
    }
    status = slot_overwrite(file, file->generation + 1, fresh, err);
    if (status != KL_OK) {
        kl_secret_free(fresh);
        return status;
    }
    kl_secret_free(file->staged);
    file->staged = fresh;
    return KL_OK;
}

enum kl_status kms_root_file_ready(struct kms_root_file *file, struct kl_err *err)
{
    if (file->next == NULL) {
        file->next = fresh_key();
    }
    return file->next != NULL ? KL_OK : fail_memory(err);
}

enum kl_status kms_root_file_advance(struct kms_root_file *file, struct kl_err *err)
{
    enum kl_status status;

    assert(file->staged != NULL && file->next != NULL);
    status = slot_overwrite(file, file->generation + 2, file->next, err);
    if (status != KL_OK) {
        return status;
    }
    kl_secret_free(file->current);
    file->current = file->staged;
    file->staged = file->next;
    file->next = NULL;
    file->generation++;
    return KL_OK;
}

/* ---- life ---- */

static struct kms_root_file *file_new(const struct kms_custodian_options *options,
                                      const struct kms_custodian *custodian,
                                      const unsigned char store_id[KMS_STORE_ID_BYTES])
{
    struct kms_root_file *file = calloc(1, sizeof *file);

    if (file == NULL) {
        return NULL;
    }
    file->fd = -1;
    file->accept_f0 = options->accept_f0;
    file->form.kind = custodian->kind;
    memcpy(file->form.store_id, store_id, KMS_STORE_ID_BYTES);
    memcpy(file->report.kind, custodian->kind == KMS_ROOT_BARE ? "file" : "passphrase",
           custodian->kind == KMS_ROOT_BARE ? sizeof "file" : sizeof "passphrase");
    return file;
}

void kms_root_file_close(struct kms_root_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        (void)close(file->fd); /* every write was synced */
    }
    kl_secret_free(file->wrapping);
    kl_secret_free(file->current);
    kl_secret_free(file->staged);
    kl_secret_free(file->next);
    free(file);
}

static enum kl_status dir_of_sync(const char *path, struct kl_err *err)
{
    char dir[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL) {
        return kl_dir_sync(".", err);
    }
    if (bytes == 0) {
        return kl_dir_sync("/", err);
    }
    memcpy(dir, path, bytes);
    dir[bytes] = '\0';
    return kl_dir_sync(dir, err);
}

static enum kl_status lock(int fd, struct kl_err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return KL_OK;
    }
    if (errno == EWOULDBLOCK) {
        return kl_fail(err, KL_ERR_BUSY, "root_file_locked", "another process uses the root file",
                       NULL);
    }
    return fail_io(err, "locked");
}

static void form_fill(struct kms_root_file *file, bool light)
{
    if (file->form.kind == KMS_ROOT_BARE) {
        return;
    }
    file->form.passes = light ? crypto_pwhash_OPSLIMIT_MIN : crypto_pwhash_OPSLIMIT_MODERATE;
    file->form.memory_bytes = light ? crypto_pwhash_MEMLIMIT_MIN : crypto_pwhash_MEMLIMIT_MODERATE;
    randombytes_buf(file->form.salt, sizeof file->form.salt);
}

/* Slots 1 and 2, and once more 2, so that an overwrite was seen before anything depends on it. */
static enum kl_status create_slots(struct kms_root_file *file, const char *path, struct kl_err *err)
{
    enum kl_status status;

    file->generation = 1;
    file->current = fresh_key();
    file->staged = fresh_key();
    if (file->current == NULL || file->staged == NULL) {
        return fail_memory(err);
    }
    status = slot_store(file, 2, file->staged, err);
    if (status == KL_OK) {
        status = slot_store(file, 1, file->current, err);
    }
    if (status == KL_OK && fsync(file->fd) != 0) {
        status = fail_io(err, "synced");
    }
    if (status == KL_OK) {
        status = dir_of_sync(path, err);
    }
    if (status == KL_OK) {
        struct kms_extents placed;

        kms_extents_read(file->fd, true, &placed); /* delayed allocation ends here */
        status = kms_root_file_restage(file, err);
    }
    return status;
}

enum kl_status kms_root_file_create(const struct kms_custodian_options *options,
                                    const unsigned char store_id[KMS_STORE_ID_BYTES],
                                    struct kms_root_file **ret_file, struct kl_err *err)
{
    struct kms_custodian custodian;
    struct kms_root_file *file = NULL;
    bool made = false;
    enum kl_status status = kms_custodian_parse(options, &custodian, err);

    if (status != KL_OK) {
        return status;
    }
    file = file_new(options, &custodian, store_id);
    if (file == NULL) {
        return fail_memory(err);
    }
    form_fill(file, options->argon2_light);
    status = wrapping_make(file, options, err);
    if (status != KL_OK) {
        goto out;
    }
    file->fd = open(custodian.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file->fd < 0) {
        status = errno == EEXIST
                     ? kl_fail(err, KL_ERR_EXISTS, "root_file_exists",
                               "the root file is there already; it is never overwritten", NULL)
                     : fail_io(err, "made");
        goto out;
    }
    made = true;
    kms_finality_prepare(file->fd);
    kms_finality_of_place(file->fd, &file->report);
    status = lock(file->fd, err);
    if (status == KL_OK) {
        status = create_slots(file, custodian.path, err);
    }
    if (status == KL_OK) {
        status = kms_root_file_accept(file, err);
    }
    if (status == KL_OK) {
        *ret_file = file;
        file = NULL;
    }

out:
    if (status != KL_OK && made) {
        (void)unlink(custodian.path); /* nothing was sealed under its keys */
    }
    kms_root_file_close(file);
    return status;
}

static enum kl_status read_slots(int fd, struct kms_root_slot slots[2], bool valid[2],
                                 struct kl_err *err)
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    enum kl_status status = KL_OK;
    struct stat facts;

    if (fstat(fd, &facts) != 0) {
        return fail_io(err, "read");
    }
    if (!S_ISREG(facts.st_mode) || facts.st_size != KMS_ROOT_FILE_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "root_file_corrupt", "this is not a root file", NULL);
    }
    for (size_t i = 0; i < 2 && status == KL_OK; i++) {
        ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)(i * KMS_ROOT_SLOT_BYTES));

        if (got < 0) {
            status = fail_io(err, "read");
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
static enum kl_status choose_slot(const struct kms_root_file *file,
                                  const struct kms_root_slot slots[2], const bool valid[2],
                                  uint64_t generation, const struct kms_root_slot **ret_slot,
                                  struct kl_err *err)
{
    size_t mine = (size_t)(generation % 2);

    if (!valid[0] && !valid[1]) {
        return kl_fail(err, KL_ERR_CORRUPT, "root_file_corrupt", "the root file is damaged",
                       "neither slot of the root file has a right checksum");
    }
    for (size_t i = 0; i < 2; i++) {
        if (valid[i] && memcmp(slots[i].store_id, file->form.store_id, KMS_STORE_ID_BYTES) != 0) {
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

static enum kl_status take_slot(struct kms_root_file *file,
                                const struct kms_custodian_options *options, uint64_t generation,
                                struct kl_err *err)
{
    struct kms_root_slot slots[2];
    const struct kms_root_slot *slot = NULL;
    bool valid[2] = {false, false};
    enum kl_status status = read_slots(file->fd, slots, valid, err);

    if (status == KL_OK) {
        status = choose_slot(file, slots, valid, generation, &slot, err);
    }
    if (status == KL_OK) {
        file->form = *slot;
        sodium_memzero(file->form.key, sizeof file->form.key);
        file->generation = generation;
        status = wrapping_make(file, options, err);
    }
    if (status == KL_OK) {
        status = slot_unwrap(file, slot, &file->current, err);
    }
    sodium_memzero(slots, sizeof slots);
    return status;
}

enum kl_status kms_root_file_open(const struct kms_custodian_options *options,
                                  const unsigned char store_id[KMS_STORE_ID_BYTES],
                                  uint64_t generation, struct kms_root_file **ret_file,
                                  struct kl_err *err)
{
    struct kms_custodian custodian;
    struct kms_root_file *file = NULL;
    enum kl_status status = kms_custodian_parse(options, &custodian, err);

    if (status != KL_OK) {
        return status;
    }
    file = file_new(options, &custodian, store_id);
    if (file == NULL) {
        return fail_memory(err);
    }
    file->fd = open(custodian.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0) {
        status = errno == ENOENT ? kl_fail(err, KL_ERR_NOT_FOUND, "root_file_missing",
                                           "there is no root file at that place", NULL)
                                 : fail_io(err, "opened");
        goto out;
    }
    kms_finality_of_place(file->fd, &file->report);
    status = kms_root_file_accept(file, err);
    if (status == KL_OK) {
        status = lock(file->fd, err);
    }
    if (status == KL_OK) {
        status = take_slot(file, options, generation, err);
    }
    if (status == KL_OK) {
        *ret_file = file;
        file = NULL;
    }

out:
    kms_root_file_close(file);
    return status;
}

const unsigned char *kms_root_file_current(const struct kms_root_file *file)
{
    return kl_secret_peek(file->current);
}

const unsigned char *kms_root_file_staged(const struct kms_root_file *file)
{
    return kl_secret_peek(file->staged);
}

uint64_t kms_root_file_generation(const struct kms_root_file *file)
{
    return file->generation;
}

void kms_root_file_report(const struct kms_root_file *file, struct kms_custodian_report *ret_report)
{
    *ret_report = file->report;
}

enum kl_status kms_root_file_accept(const struct kms_root_file *file, struct kl_err *err)
{
    if (file->report.finality != KMS_FINALITY_F0 || file->accept_f0) {
        return KL_OK;
    }
    return kl_failf(err, KL_ERR_REFUSED, "finality_f0",
                    "an erasure would not be final where the root file lies (%s: %s); %s",
                    file->report.file_system, file->report.reason, file->report.advice);
}
