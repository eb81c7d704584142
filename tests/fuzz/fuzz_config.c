/*
 * The input is a configuration file, then, behind its first 0 byte, flags with 0 bytes between
 * them. What is taken lies in the ranges of the table; what is refused says why.
 */
#include "kluis/base/config.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAGS_MAX 64

static const struct kl_config_key keys[] = {
    {.name = "data", .type = KL_CONFIG_TEXT},
    {.name = "tls-cert", .type = KL_CONFIG_TEXT, .fallback = "/etc/cert"},
    {.name = "workers", .type = KL_CONFIG_INT, .fallback = "50", .minimum = 1, .maximum = 1024},
    {.name = "offset", .type = KL_CONFIG_INT, .minimum = -5, .maximum = INT64_MAX},
    {.name = "verbose", .type = KL_CONFIG_BOOL},
    {.name = "mirror", .type = KL_CONFIG_LIST, .fallback = "one two"},
    {.name = NULL},
};

static void check_failure(enum kl_status status, const struct kl_err *err)
{
    assert(status != KL_OK && err->status == status);
    assert(err->code[0] != '\0' && err->client_text[0] != '\0');
}

static void check_values(const struct kl_config *config)
{
    int64_t workers = kl_config_int(config, "workers");

    assert(workers >= 1 && workers <= 1024);
    assert(!kl_config_is_set(config, "offset") || kl_config_int(config, "offset") >= -5);
    assert(kl_config_text(config, "tls-cert") != NULL);
    assert((kl_config_text(config, "data") != NULL) == kl_config_is_set(config, "data"));
    for (const char *const *item = kl_config_list(config, "mirror"); *item != NULL; item++) {
        assert(strlen(*item) < SIZE_MAX);
    }
}

static bool read_file(struct kl_config *config, const uint8_t *text, size_t size)
{
    struct kl_err err = {0};
    char path[40];
    int fd = memfd_create("config", MFD_CLOEXEC);
    ssize_t written = write(fd, text, size);
    enum kl_status status;

    assert(fd >= 0 && written == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    status = kl_config_read_file(config, path, &err);
    (void)close(fd);
    if (status != KL_OK) {
        check_failure(status, &err);
    }
    return status == KL_OK;
}

static bool read_flags(struct kl_config *config, char *text, size_t size)
{
    struct kl_err err = {0};
    char program[] = "program";
    char *argv[FLAGS_MAX + 2] = {program};
    int argc = 1;
    int before;
    enum kl_status status;

    for (size_t at = 0; at < size && argc <= FLAGS_MAX; at += strlen(text + at) + 1) {
        argv[argc++] = text + at;
    }
    before = argc;
    status = kl_config_read_flags(config, &argc, argv, &err);
    if (status != KL_OK) {
        check_failure(status, &err);
        return false;
    }
    assert(argc >= 1 && argc <= before && argv[argc] == NULL && argv[0] == program);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    size_t file_bytes = zero != NULL ? (size_t)(zero - data) : size;
    size_t flags_bytes = size - file_bytes;
    char *flags = calloc(1, flags_bytes + 1);
    struct kl_config *config = kl_config_new(keys, "KLFUZZ_");

    assert(config != NULL && flags != NULL);
    if (flags_bytes > 0) {
        memcpy(flags, data + file_bytes + 1, flags_bytes - 1);
    }
    if (read_file(config, data, file_bytes) && read_flags(config, flags, flags_bytes)) {
        check_values(config);
    }
    kl_config_free(config);
    free(flags);
    return 0;
}
