#include "tests/support/softhsm.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Debian's place, then where others put it. */
static const char *const modules[] = {
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
};

static const char *module_find(void)
{
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        if (access(modules[i], R_OK) == 0) {
            return modules[i];
        }
    }
    return NULL;
}

static void configuration_write(const struct softhsm *softhsm)
{
    char path[300];
    FILE *file;

    (void)snprintf(path, sizeof path, "%.256s/tokens", softhsm->folder);
    if (mkdir(path, 0700) != 0) {
        abort();
    }
    (void)snprintf(path, sizeof path, "%.256s/softhsm2.conf", softhsm->folder);
    file = fopen(path, "we");
    assert(file != NULL);
    (void)fprintf(
        file, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
        softhsm->folder);
    (void)fclose(file);
    if (setenv("SOFTHSM2_CONF", path, 1) != 0) {
        abort();
    }
}

void softhsm_add_token(const struct softhsm *softhsm, const char *label)
{
    char command[1024];

    (void)snprintf(
        command, sizeof command,
        "softhsm2-util --module %s --init-token --free --label %s --so-pin 47110815 --pin %s >/dev/null",
        softhsm->module, label, SOFTHSM_PIN);
    if (system(command) != 0) {
        abort();
    }
}

void softhsm_uri(const struct softhsm *softhsm, const char *label, char ret_uri[SOFTHSM_URI_BYTES])
{
    (void)snprintf(ret_uri, SOFTHSM_URI_BYTES, "pkcs11:token=%s?module-path=%s", label,
                   softhsm->module);
}

bool softhsm_start(struct softhsm *softhsm)
{
    const char *place = getenv("TMPDIR");

    softhsm->module = module_find();
    if (softhsm->module == NULL || system("command -v softhsm2-util >/dev/null") != 0) {
        return false;
    }
    (void)snprintf(softhsm->folder, sizeof softhsm->folder, "%.200s/kluis-hsm-XXXXXX",
                   place != NULL ? place : "/tmp");
    if (mkdtemp(softhsm->folder) == NULL) {
        abort();
    }
    configuration_write(softhsm);
    softhsm_add_token(softhsm, "kluis-test");
    softhsm_uri(softhsm, "kluis-test", softhsm->uri);
    return true;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
    (void)facts;
    (void)kind;
    (void)where;
    return remove(path);
}

void softhsm_end(struct softhsm *softhsm)
{
    (void)nftw(softhsm->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
