/* Where the passphrase of the root key, or the PIN of its token, comes from: never from argv or the environment. */
#include "api/command.h"

#include "kluis/base/buf.h"
#include "kluis/base/file.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSPHRASE_MAX_BYTES 1024
#define LINE_BYTES (PASSPHRASE_MAX_BYTES + 2)
#define PATH_MAX_BYTES 4096

static enum kl_status keep(const unsigned char *bytes, size_t size,
                           struct kl_secret **ret_passphrase, size_t *ret_bytes, struct kl_err *err)
{
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        size--;
    if (size == 0)
        return kl_fail(err, KL_ERR_INVALID, "empty_passphrase", "the passphrase is empty", NULL);
    struct kl_secret *secret = kl_secret_new(size);
    if (secret == NULL)
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "no guarded memory", NULL);
    memcpy(kl_secret_bytes(secret), bytes, size);
    *ret_passphrase = secret;
    *ret_bytes = size;
    return KL_OK;
}

static enum kl_status from_file(const char *path, struct kl_secret **ret_passphrase,
                                size_t *ret_bytes, struct kl_err *err)
{
    struct kl_buf file = {0};
    enum kl_status status = kl_file_read(path, LINE_BYTES, &file, err);
    if (status == KL_OK)
        status = keep(file.bytes, file.size, ret_passphrase, ret_bytes, err);
    kl_buf_done(&file);
    return status;
}

/* Up to the first newline or the end, byte by byte: what follows the line is not ours. Its size, or -1. */
static ssize_t read_line(int fd, unsigned char line[LINE_BYTES])
{
    size_t size = 0;
    while (size < LINE_BYTES) {
        ssize_t got = read(fd, line + size, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0 || line[size] == '\n')
            break;
        size++;
    }
    return (ssize_t)size;
}

static enum kl_status from_fd(int fd, struct kl_secret **ret_passphrase, size_t *ret_bytes,
                              struct kl_err *err)
{
    unsigned char line[LINE_BYTES];
    ssize_t size = read_line(fd, line);
    enum kl_status status;
    if (size < 0)
        status = kl_fail(err, KL_ERR_IO, "file_error", "the passphrase could not be read",
                         "file descriptor %d: %s", fd, strerror(errno));
    else if (size > PASSPHRASE_MAX_BYTES + 1)
        status = kl_failf(err, KL_ERR_INVALID, "passphrase_length",
                          "a passphrase has at most %d bytes", PASSPHRASE_MAX_BYTES);
    else
        status = keep(line, (size_t)size, ret_passphrase, ret_bytes, err);
    sodium_memzero(line, sizeof line);
    if (fd > STDERR_FILENO)
        (void)close(fd);
    return status;
}

/* One line from the terminal without echo. */
static bool ask(const char *prompt, char line[LINE_BYTES])
{
    struct termios saved;
    if (tcgetattr(STDIN_FILENO, &saved) != 0)
        return false;
    struct termios silent = saved;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    (void)fputs(prompt, stderr);
    size_t size = 0;
    char byte = 0;
    while (size < PASSPHRASE_MAX_BYTES && read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        line[size++] = byte;
    line[size] = '\0';
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    (void)fputc('\n', stderr);
    return size > 0;
}

static enum kl_status from_terminal(const char *prompt, bool confirm,
                                    struct kl_secret **ret_passphrase, size_t *ret_bytes,
                                    struct kl_err *err)
{
    if (!isatty(STDIN_FILENO))
        return kl_fail(
            err, KL_ERR_INVALID, "no_passphrase",
            "a passphrase or PIN is needed: --passphrase-file FILE, --passphrase-fd N, a "
            "systemd credential kluis-passphrase, or a terminal",
            NULL);
    char first[LINE_BYTES] = "", second[LINE_BYTES] = "";
    enum kl_status status = KL_OK;
    if (!ask(prompt, first))
        status = kl_fail(err, KL_ERR_INVALID, "no_passphrase", "no passphrase was given", NULL);
    else if (confirm && (!ask("again: ", second) || strcmp(first, second) != 0))
        status =
            kl_fail(err, KL_ERR_INVALID, "passphrases_differ", "the two passphrases differ", NULL);
    else
        status = keep((const unsigned char *)first, strlen(first), ret_passphrase, ret_bytes, err);
    sodium_memzero(first, sizeof first);
    sodium_memzero(second, sizeof second);
    return status;
}

static bool is_token(const char *custodian)
{
    return strncmp(custodian, "pkcs11:", 7) == 0;
}

static bool needs_secret(const char *custodian)
{
    return is_token(custodian) ? strstr(custodian, "pin-source=") == NULL
                               : strncmp(custodian, "passphrase:", 11) == 0;
}

/* The file of a systemd credential of that name; false: there is none. */
static bool credential_path(const char *name, const char *end, char ret_path[PATH_MAX_BYTES])
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    return folder != NULL &&
           snprintf(ret_path, PATH_MAX_BYTES, "%s/%s%s", folder, name, end) < PATH_MAX_BYTES &&
           access(ret_path, R_OK) == 0;
}

enum kl_status api_passphrase_read(const struct kl_config *config, const char *custodian,
                                   bool confirm, struct kl_secret **ret_passphrase,
                                   size_t *ret_bytes, struct kl_err *err)
{
    *ret_passphrase = NULL;
    *ret_bytes = 0;
    if (!needs_secret(custodian))
        return KL_OK;
    bool token = is_token(custodian);
    const char *file = kl_config_text(config, "passphrase-file");
    bool fd = kl_config_is_set(config, "passphrase-fd");
    if (file != NULL && fd)
        return kl_fail(err, KL_ERR_INVALID, "usage",
                       "give --passphrase-file or --passphrase-fd, not both", NULL);
    if (fd)
        return from_fd((int)kl_config_int(config, "passphrase-fd"), ret_passphrase, ret_bytes, err);
    if (file != NULL)
        return from_file(file, ret_passphrase, ret_bytes, err);
    char path[PATH_MAX_BYTES];
    if (credential_path("kluis-passphrase", "", path))
        return from_file(path, ret_passphrase, ret_bytes, err);
    return from_terminal(token ? "PIN of the token: " : "passphrase of the root key: ",
                         confirm && !token, ret_passphrase, ret_bytes, err);
}

/* The FILE of NAME=FILE; NULL: none is given for that store. */
static const char *file_of_store(const struct kl_config *config, const char *store)
{
    const char *const *files = kl_config_list(config, "store-passphrase-file");
    size_t size = strlen(store);
    for (size_t i = 0; files != NULL && files[i] != NULL; i++)
        if (strncmp(files[i], store, size) == 0 && files[i][size] == '=')
            return files[i] + size + 1;
    return NULL;
}

enum kl_status api_store_secret(void *config, const char *store, const char *custodian,
                                struct kl_secret **ret_passphrase, size_t *ret_bytes,
                                struct kl_err *err)
{
    *ret_passphrase = NULL;
    *ret_bytes = 0;
    if (!needs_secret(custodian))
        return KL_OK;
    char path[PATH_MAX_BYTES];
    const char *file = file_of_store(config, store);
    if (file != NULL)
        return from_file(file, ret_passphrase, ret_bytes, err);
    if (credential_path("kluis-passphrase-", store, path))
        return from_file(path, ret_passphrase, ret_bytes, err);
    return kl_failf(
        err, KL_ERR_INVALID, "no_passphrase",
        "the passphrase or PIN of this store is needed: --store-passphrase-file %s=FILE, or a systemd "
        "credential kluis-passphrase-%s",
        store, store);
}
