#include "kms/custodian_move.h"

#include "kms/internal.h"
#include "kms/mirrors.h"
#include "kms/token.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const unsigned char row_key_byte[1] = {KMS_ROW_CUSTODIAN};
static const struct kl_slice row_key = {row_key_byte, sizeof row_key_byte};

/* ---- texts ---- */

/* Where the path begins; NULL for a token. */
static const char *path_of(const char *custodian)
{
    const char *colon = strchr(custodian, ':');

    return kms_token_is_named(custodian) || colon == NULL ? NULL : colon + 1;
}

static enum kl_status fail_text(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "custodian_invalid",
                   "the path of the root file is too long, or its folder is not there", NULL);
}

enum kl_status kms_custodian_text(const char *custodian,
                                  char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1],
                                  struct kl_err *err)
{
    const char *path = path_of(custodian);
    const char *name;
    char folder[PATH_MAX];
    int bytes;

    if (strlen(custodian) > KMS_CUSTODIAN_TEXT_MAX_BYTES) {
        return fail_text(err);
    }
    if (path == NULL) {
        memcpy(ret_text, custodian, strlen(custodian) + 1);
        return KL_OK;
    }
    name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    if (!kms_path_folder(path, folder)) {
        return fail_text(err);
    }
    bytes = snprintf(ret_text, KMS_CUSTODIAN_TEXT_MAX_BYTES + 1, "%.*s:%s%s%s",
                     (int)(path - custodian - 1), custodian, folder,
                     strcmp(folder, "/") == 0 ? "" : "/", name);
    return bytes > 0 && bytes <= KMS_CUSTODIAN_TEXT_MAX_BYTES ? KL_OK : fail_text(err);
}

/* Whether two resolved texts name one place: the same token, or the same path, with or without passphrase. */
static bool same_place(const char *a, const char *b)
{
    const char *path_a = path_of(a);
    const char *path_b = path_of(b);

    return strcmp(path_a == NULL ? a : path_a, path_b == NULL ? b : path_b) == 0;
}

/* ---- row 'C' ---- */

static bool text_take(struct kl_slice bytes, char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1])
{
    if (bytes.size > KMS_CUSTODIAN_TEXT_MAX_BYTES ||
        memchr(bytes.bytes, '\0', bytes.size) != NULL) {
        return false;
    }
    memcpy(ret_text, bytes.bytes, bytes.size);
    ret_text[bytes.size] = '\0';
    return true;
}

enum kl_status kms_custodian_row_read(struct kms *kms, struct kms_custodian_row *ret_row,
                                      struct kl_err *err)
{
    struct kl_err reading = {0};
    struct kl_reader reader;
    struct kl_slice current;
    struct kl_slice leftover;
    struct kl_buf row;
    enum kl_status status;
    uint8_t version;

    memset(ret_row, 0, sizeof *ret_row);
    kl_buf_init(&row, 2 * KMS_ROW_MAX_BYTES);
    status = kms_rows_get(&kms->rows, row_key, &row, &reading);
    if (status == KL_OK) {
        reader = kl_reader_of(kl_buf_slice(&row));
        version = kl_read_byte(&reader);
        current = kl_read_sized(&reader);
        leftover = kl_read_sized(&reader);
        ret_row->found = kl_reader_done(&reader) && version == KMS_FORMAT_VERSION &&
                         current.size > 0 && text_take(current, ret_row->current) &&
                         text_take(leftover, ret_row->leftover);
        if (!ret_row->found) {
            status =
                kl_fail(err, KL_ERR_CORRUPT, "key_custodian_corrupt", "the key store is damaged",
                        "the row that says where the root key lies cannot be read");
        }
    } else if (status == KL_ERR_NOT_FOUND) {
        status = KL_OK;
    } else {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read", "%s",
                         reading.log_text);
    }
    kl_buf_done(&row);
    return status;
}

static size_t row_fill(unsigned char ret_bytes[KMS_CUSTODIAN_ROW_MAX_BYTES], const char *current,
                       const char *leftover)
{
    size_t current_bytes = strlen(current);
    size_t leftover_bytes = strlen(leftover);
    unsigned char *at = ret_bytes;

    *at++ = KMS_FORMAT_VERSION;
    kl_put_u32be(at, (uint32_t)current_bytes);
    memcpy(at + 4, current, current_bytes);
    at += 4 + current_bytes;
    kl_put_u32be(at, (uint32_t)leftover_bytes);
    memcpy(at + 4, leftover, leftover_bytes);
    return 1 + 4 + current_bytes + 4 + leftover_bytes;
}

static enum kl_status row_write(struct kms *kms, const char *current, const char *leftover,
                                struct kl_err *err)
{
    unsigned char bytes[KMS_CUSTODIAN_ROW_MAX_BYTES];
    struct kms_storage_write write = {row_key, {bytes, row_fill(bytes, current, leftover)}};
    struct kl_err failure = {0};
    enum kl_status status = kms_rows_apply(&kms->rows, &write, 1, true, &failure);

    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return kl_fail(err, KL_ERR_IO, "key_store_io", "the vault must be started again", "%s",
                       failure.log_text);
    }
    return KL_OK;
}

/* ---- at open ---- */

static enum kl_status fail_moved(const struct kms_custodian_row *row, struct kl_err *err)
{
    return kl_failf(err, KL_ERR_REFUSED, "custodian_moved",
                    "the root key does not lie there: it is kept by %s", row->current);
}

enum kl_status kms_custodian_moved_check(const struct kms_custodian_row *row, const char *given,
                                         struct kl_err *err)
{
    if (row->leftover[0] != '\0' && same_place(row->leftover, given)) {
        return fail_moved(row, err);
    }
    return KL_OK;
}

enum kl_status kms_custodian_moved_explain(const struct kms_custodian_row *row, const char *given,
                                           enum kl_status status, struct kl_err *err)
{
    if (!row->found || same_place(row->current, given) ||
        (status != KL_ERR_NOT_FOUND && status != KL_ERR_CORRUPT &&
         strcmp(err->code, "root_key_generation") != 0)) {
        return status;
    }
    *err = (struct kl_err){0};
    return fail_moved(row, err);
}

static enum kl_status fail_leftover(const struct kms_custodian_row *row, struct kl_err *err)
{
    return kl_failf(
        err, KL_ERR_REFUSED, "custodian_leftover",
        "a change of custodian was cut short, and what is left of it cannot be reached, so "
        "that it cannot be destroyed: %s",
        row->leftover);
}

/* A root file of this store is destroyed; anything else that lies there is not ours. */
static enum kl_status file_destroy(struct kms *kms, const struct kms_custodian_row *row,
                                   struct kl_err *err)
{
    struct kms_root_place *place = NULL;
    bool ours = false;
    char folder[PATH_MAX];
    const char *path = path_of(row->leftover);
    struct kl_err cause = {0};
    enum kl_status status = kms_root_file_open_left(AT_FDCWD, path, kms->store_id, &place, &cause);

    if (status == KL_ERR_REFUSED) {
        return KL_OK;
    }
    if (status == KL_ERR_NOT_FOUND) {
        return kms_path_folder(path, folder) ? KL_OK : fail_leftover(row, err);
    }
    if (status == KL_OK) {
        status = kms_root_file_is_ours(place, &ours, &cause);
        if (status == KL_OK && ours) {
            status = kms_root_place_wipe(place, &cause);
        }
    }
    kms_root_place_close(place);
    return status == KL_OK ? KL_OK : fail_leftover(row, err);
}

static enum kl_status fail_consent(const struct kms_custodian_row *row, struct kl_err *err)
{
    return kl_failf(
        err, KL_ERR_REFUSED, "custodian_leftover",
        "a change of custodian was cut short; to destroy what is left of it, give the PIN of %s "
        "with --leftover-pin-file, if you know this module",
        row->leftover);
}

/*
 * Its PIN must be given again, even where the URI names a source: the row may be anybody's who can write to the key store, and the module
 * that it names would run in here. Somebody has to have read its name.
 */
static enum kl_status token_destroy(struct kms *kms, const struct kms_custodian_row *row,
                                    const char *pin_file, struct kl_err *err)
{
    struct kms_custodian_options options = {.custodian = row->leftover, .accept_f0 = true};
    struct kms_root_place *place = NULL;
    struct kl_err cause = {0};
    struct kl_buf pin = {0};
    enum kl_status status = KL_OK;

    if (pin_file == NULL) {
        return fail_consent(row, err);
    }
    status = kms_token_pin_read(pin_file, &pin, &cause);
    options.passphrase = (const char *)pin.bytes;
    options.passphrase_bytes = pin.size;
    if (status == KL_OK) {
        status = kms_root_place_open(&options, kms->store_id, kms->rows.storage, &place, &cause);
    }
    kl_buf_done(&pin);
    if (status == KL_OK) {
        status = kms_root_place_wipe(place, &cause);
    }
    kms_root_place_close(place);
    return status == KL_OK ? KL_OK : fail_leftover(row, err);
}

enum kl_status kms_custodian_leftover_destroy(struct kms *kms, const struct kms_custodian_row *row,
                                              const char *given, const char *pin_file,
                                              struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (!row->found || (row->leftover[0] == '\0' && strcmp(row->current, given) == 0)) {
        return KL_OK;
    }
    if (row->leftover[0] != '\0') {
        status = path_of(row->leftover) == NULL ? token_destroy(kms, row, pin_file, err)
                                                : file_destroy(kms, row, err);
    }
    return status == KL_OK ? row_write(kms, given, "", err) : status;
}

/* ---- the change itself ---- */

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                   "no memory can be locked for a root key");
}

static void mirrors_swap(struct kms *kms, struct kms_move *move)
{
    kms_mirrors_form_swap(kms->mirrors, &move->mirror_form, &move->mirror_with_file);
    move->mirrors_have_it = !move->mirrors_have_it;
}

/* The staged key and the new one change places. */
static void staged_swap(struct kms *kms, struct kms_move *move)
{
    struct kl_secret *staged = kms->root.staged;

    kms->root.staged = move->staged;
    move->staged = staged;
}

static enum kl_status place_make(struct kms *kms, struct kms_move *move, struct kl_err *err)
{
    const char *path = path_of(move->text);

    if (move->with_file) {
        return kms_root_file_make_like(AT_FDCWD, path, move->to->accept_f0, &move->form,
                                       kms->store_id, &move->place, err);
    }
    return kms_root_place_make(move->to, kms->store_id, kms->rows.storage, &move->place, err);
}

/* The new place is noted before it is made, and holds the new staged key. */
static enum kl_status begin_elsewhere(struct kms *kms, struct kms_move *move, struct kl_err *err)
{
    struct kl_err ignored = {0};
    enum kl_status status;

    if (move->with_file && access(path_of(move->text), F_OK) == 0) {
        return kl_fail(err, KL_ERR_EXISTS, "root_file_exists",
                       "the root file is there already; it is never overwritten", NULL);
    }
    status = row_write(kms, kms->custodian, move->text, err);
    if (status != KL_OK) {
        return status;
    }
    status = place_make(kms, move, err);
    if (status == KL_OK) {
        status = kms_root_place_store(move->place, kms->root.generation + 1,
                                      kl_secret_peek(move->staged), err);
    }
    if (status == KL_OK) {
        status = kms_root_place_accept(move->place, err);
    }
    if (status == KL_OK) {
        return KL_OK;
    }
    if (move->place == NULL || kms_root_place_wipe(move->place, &ignored) == KL_OK) {
        (void)(row_write(kms, kms->custodian, "", &ignored) == KL_OK);
    } /* else it stays noted, and is destroyed at the next open */
    kms_root_place_close(move->place);
    move->place = NULL;
    return status;
}

/* The staged slot is written in the new form; the one in use stays as it is. */
static enum kl_status begin_here(struct kms *kms, struct kms_move *move, struct kl_err *err)
{
    struct kl_err failure = {0};
    enum kl_status status;

    if (kms->first->report.finality == KMS_FINALITY_F0 && !move->to->accept_f0) {
        return kl_failf(err, KL_ERR_REFUSED, "finality_f0",
                        "an erasure would not be final where the root key lies (%s: %s); %s",
                        kms->first->report.file_system, kms->first->report.reason,
                        kms->first->report.advice);
    }
    move->place = kms->first;
    kms_root_file_form_swap(kms->first, &move->form);
    status = kms_root_place_store(kms->first, kms->root.generation + 1,
                                  kl_secret_peek(move->staged), &failure);
    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return kl_fail(err, KL_ERR_IO, "key_store_io", "the vault must be started again", "%s",
                       failure.log_text);
    }
    return KL_OK;
}

enum kl_status kms_move_begin(struct kms *kms, struct kms_move *move, struct kl_err *err)
{
    enum kl_status status;

    move->same = move->with_file && kms_root_place_is_file(kms->first) &&
                 kms_root_file_is_at(kms->first, path_of(move->text));
    move->staged = kl_secret_new(KMS_KEY_BYTES);
    if (move->staged == NULL) {
        return fail_memory(err);
    }
    randombytes_buf(kl_secret_bytes(move->staged), KMS_KEY_BYTES);
    move->mirror_form.kind = KMS_ROOT_BARE;
    move->mirror_with_file = move->with_file;
    if (move->with_file) {
        status = kms_root_form_copy(&move->form, &move->mirror_form, err);
        if (status != KL_OK) {
            return status;
        }
    }
    status = move->same ? begin_here(kms, move, err) : begin_elsewhere(kms, move, err);
    if (status != KL_OK) {
        return status;
    }
    staged_swap(kms, move);
    if (move->with_file) {
        mirrors_swap(kms, move);
        kms_mirrors_store(kms->mirrors, kms->root.generation + 1, kl_secret_peek(kms->root.staged),
                          kms->root.generation);
    }
    if (kms_mirrors_tally(kms->mirrors).pending > 0) {
        kms_move_undo(kms, move);
        return kl_fail(err, KL_ERR_UNAVAILABLE, "mirror_unreachable",
                       "a mirror of the keys does not answer; try again later", NULL);
    }
    return KL_OK;
}

void kms_move_undo(struct kms *kms, struct kms_move *move)
{
    struct kl_err failure = {0};
    enum kl_status status = KL_OK;

    if (move->same) {
        kms_root_file_form_swap(kms->first, &move->form);
    } else {
        status = kms_root_place_wipe(move->place, &failure);
        kms_root_place_close(move->place);
    }
    move->place = NULL;
    if (status == KL_OK && !move->same) {
        status = row_write(kms, kms->custodian, "", &failure);
    }
    staged_swap(kms, move);
    if (status == KL_OK) {
        status = kms_root_place_store(kms->first, kms->root.generation + 1,
                                      kl_secret_peek(kms->root.staged), &failure);
    }
    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return;
    }
    if (move->mirrors_have_it) {
        mirrors_swap(kms, move);
        kms_mirrors_store(kms->mirrors, kms->root.generation + 1, kl_secret_peek(kms->root.staged),
                          kms->root.generation);
    }
}

size_t kms_move_rows(struct kms *kms, struct kms_move *move, uint64_t generation,
                     struct kms_storage_write ret_writes[KMS_MOVE_ROWS_MAX])
{
    size_t count = kms_root_place_rows(move->place, generation, ret_writes);

    if (!move->same) {
        count += kms_root_place_rows_leave(kms->first, generation, ret_writes + count);
    }
    ret_writes[count] = (struct kms_storage_write){
        row_key, {move->row, row_fill(move->row, move->text, move->same ? "" : kms->custodian)}};
    return count + 1;
}

enum kl_status kms_move_overwrite(struct kms *kms, struct kms_move *move, struct kl_err *err)
{
    enum kl_status status = kms_root_overwrite(&kms->root, move->place, err);

    return status == KL_OK && !move->same ? kms_root_place_wipe(kms->first, err) : status;
}

void kms_move_end(struct kms *kms, struct kms_move *move)
{
    struct kl_err failure = {0};

    if (!move->same) {
        kms_root_place_close(kms->first);
        kms->first = move->place;
    }
    kms->first->accept_f0 = move->to->accept_f0;
    move->place = NULL;
    (void)pthread_rwlock_wrlock(&kms->lock);
    memcpy(kms->custodian, move->text, strlen(move->text) + 1);
    (void)pthread_rwlock_unlock(&kms->lock);
    if (!move->mirrors_have_it) {
        mirrors_swap(kms, move);
    }
    if (!move->same) {
        (void)(row_write(kms, kms->custodian, "", &failure) == KL_OK);
    }
}

/* ---- the call ---- */

static enum kl_status prepare_form(struct kms_move *move, struct kms_custodian_options *to,
                                   struct kl_err *err)
{
    struct kms_custodian custodian;
    enum kl_status status;

    if (to->custodian != NULL && kms_token_is_named(to->custodian)) {
        return KL_OK;
    }
    move->with_file = true;
    status = kms_custodian_parse(to, &custodian, err);
    return status == KL_OK ? kms_root_form_make(to, custodian.kind, &move->form, err) : status;
}

enum kl_status kms_custodian_change(struct kms *kms, const struct kms_custodian_options *to,
                                    struct kms_request *note, struct kl_err *err)
{
    struct kms_request nothing = {0};
    struct kms_custodian_options options = *to;
    struct kms_move *move = calloc(1, sizeof *move);
    struct kms_move *none = NULL;
    enum kl_status status;

    if (move == NULL) {
        return kl_fail_memory(err);
    }
    if (options.forbidden_dir == NULL) {
        options.forbidden_dir = kms->forbidden_dir;
    }
    move->request = note != NULL ? note : &nothing;
    move->to = &options;
    status = prepare_form(move, &options, err);
    if (status == KL_OK) {
        status = kms_custodian_text(options.custodian, move->text, err);
    }
    if (status == KL_OK && !atomic_compare_exchange_strong(&kms->move, &none, move)) {
        status = kl_fail(err, KL_ERR_BUSY, "custodian_changing",
                         "another change of custodian is under way", NULL);
    } else if (status == KL_OK) {
        status = kms_commit(kms, note != NULL ? note : &nothing, err);
        atomic_store(&kms->move, NULL);
    }
    if (!move->same) {
        kms_root_place_close(move->place); /* of an attempt that failed */
    }
    kms_root_form_done(&move->form);
    kms_root_form_done(&move->mirror_form);
    kl_secret_free(move->staged);
    sodium_memzero(move, sizeof *move);
    free(move);
    return status;
}
