#include "kluis/kms/custodian.h"

#include "kms/root_file.h"
#include "kms/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *kms_finality_name(enum kms_finality finality)
{
    static const char *const names[] = {"F0", "F1", "F2", "F3"};

    return names[finality];
}

bool kms_path_folder(const char *path, char ret_folder[PATH_MAX])
{
    char folder[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL) {
        return realpath(".", ret_folder) != NULL;
    }
    memcpy(folder, path, bytes);
    folder[bytes] = '\0';
    return realpath(bytes == 0 ? "/" : folder, ret_folder) != NULL;
}

static bool below(const char *path, const char *folder)
{
    size_t bytes = strlen(folder);

    if (bytes == 1) {
        return true; /* everything is below "/" */
    }
    return strncmp(path, folder, bytes) == 0 && (path[bytes] == '/' || path[bytes] == '\0');
}

/* A root file inside the data directory would be copied with it. Both the name and what it leads to count. */
bool kms_path_inside(const char *path, const char *forbidden)
{
    char folder[PATH_MAX];
    char resolved[PATH_MAX];

    if (realpath(forbidden, resolved) == NULL) {
        return false; /* nothing can be inside what is not there */
    }
    if (kms_path_folder(path, folder) && below(folder, resolved)) {
        return true;
    }
    return realpath(path, folder) != NULL && below(folder, resolved);
}

static enum kl_status check_passphrase(const struct kms_custodian_options *options,
                                       struct kl_err *err)
{
    if (options->passphrase == NULL || options->passphrase_bytes < KMS_PASSPHRASE_MIN_BYTES ||
        options->passphrase_bytes > KMS_PASSPHRASE_MAX_BYTES) {
        return kl_failf(err, KL_ERR_INVALID, "passphrase_length", "a passphrase has %d to %d bytes",
                        KMS_PASSPHRASE_MIN_BYTES, KMS_PASSPHRASE_MAX_BYTES);
    }
    return KL_OK;
}

enum kl_status kms_custodian_parse(const struct kms_custodian_options *options,
                                   struct kms_custodian *ret_custodian, struct kl_err *err)
{
    const char *text = options->custodian;
    struct kms_custodian custodian;
    enum kl_status status = KL_OK;

    if (text != NULL && strncmp(text, "file:", 5) == 0) {
        custodian = (struct kms_custodian){KMS_ROOT_BARE, text + 5};
    } else if (text != NULL && strncmp(text, "passphrase:", 11) == 0) {
        custodian = (struct kms_custodian){KMS_ROOT_PASSPHRASE, text + 11};
        status = check_passphrase(options, err);
    } else {
        return kl_fail(err, KL_ERR_INVALID, "custodian_invalid",
                       "a custodian is file:PATH, passphrase:PATH or pkcs11:URI", NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    if (custodian.path[0] == '\0' || strlen(text) > KMS_CUSTODIAN_TEXT_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "custodian_invalid",
                       "the path of the root file is empty or too long", NULL);
    }
    if (options->forbidden_dir != NULL && kms_path_inside(custodian.path, options->forbidden_dir)) {
        return kl_fail(
            err, KL_ERR_INVALID, "root_file_in_data",
            "the root file may not lie inside the data directory: a copy of the data would carry it",
            NULL);
    }
    *ret_custodian = custodian;
    return KL_OK;
}

/* Write back the first slot's own bytes and see whether they stay where they are. A torn write leaves the same bytes. */
static enum kl_status rewrite_look(int fd, struct kms_custodian_report *report, struct kl_err *err)
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    struct kms_extents before;
    struct kms_extents after;
    enum kl_status status = KL_OK;

    kms_extents_read(fd, true, &before);
    if (pread(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
        pwrite(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes || fdatasync(fd) != 0) {
        status = kl_fail(err, KL_ERR_IO, "root_file_io", "the root file could not be used",
                         "the root file could not be rewritten: %s", strerror(errno));
    }
    sodium_memzero(bytes, sizeof bytes);
    if (status != KL_OK) {
        return status;
    }
    kms_extents_read(fd, true, &after);
    report->in_place = kms_extents_in_place(&before, &after);
    return KL_OK;
}

static enum kl_status report_open_file(int fd, struct kms_custodian_report *report,
                                       struct kl_err *err)
{
    struct stat facts;
    enum kl_status status = KL_OK;

    if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size != KMS_ROOT_FILE_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "root_file_corrupt", "this is not a root file", NULL);
    }
    kms_finality_of_place(fd, report);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        status = rewrite_look(fd, report, err);
    } else {
        /* A vault is open: writing back what was read could undo its erasure. The extents alone must do. */
        struct kms_extents now;

        kms_extents_read(fd, false, &now);
        report->in_place = kms_extents_in_place(&now, &now);
    }
    if (status == KL_OK && !report->in_place && report->finality == KMS_FINALITY_F1) {
        kms_finality_refute(report,
                            "the blocks of the root file move, or are shared with another file",
                            "put the root file on a small ext4 or xfs volume of its own");
    }
    if (status == KL_OK && report->finality == KMS_FINALITY_F1 && (facts.st_mode & 077) != 0) {
        (void)snprintf(report->advice, sizeof report->advice,
                       "others on this machine can read the root file: chmod 600");
    }
    return status;
}

static enum kl_status report_token(const char *uri, struct kms_custodian_report *ret_report,
                                   struct kl_err *err)
{
    struct kms_token_facts facts;
    enum kl_status status = kms_token_look(uri, &facts, err);

    if (status == KL_OK) {
        kms_token_judge(&facts, ret_report);
    }
    return status;
}

enum kl_status kms_custodian_report(const struct kms_custodian_options *options,
                                    struct kms_custodian_report *ret_report, struct kl_err *err)
{
    struct kms_custodian custodian;
    struct kms_custodian_options place_only = *options;
    struct kms_custodian_report report = {.finality = KMS_FINALITY_F0};
    enum kl_status status;
    int fd;

    if (kms_token_is_named(options->custodian)) {
        return report_token(options->custodian, ret_report, err);
    }
    /* The passphrase is not needed to look at the place. */
    place_only.passphrase = "not needed here";
    place_only.passphrase_bytes = strlen(place_only.passphrase);
    status = kms_custodian_parse(&place_only, &custodian, err);
    if (status != KL_OK) {
        return status;
    }
    fd = open(custodian.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT
                   ? kl_fail(err, KL_ERR_NOT_FOUND, "root_file_missing",
                             "there is no root file at that place", NULL)
                   : kl_fail(err, KL_ERR_IO, "root_file_io", "the root file could not be used",
                             "the root file could not be opened: %s", strerror(errno));
    }
    (void)snprintf(report.kind, sizeof report.kind, "%s",
                   custodian.kind == KMS_ROOT_BARE ? "file" : "passphrase");
    status = report_open_file(fd, &report, err);
    (void)close(fd);
    if (status == KL_OK) {
        *ret_report = report;
    }
    return status;
}
