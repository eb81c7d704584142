/*
 * What really happens to an overwritten block: the file system's mount, and
 * below it the disk, as far as /proc and /sys tell.
 */
#include "vault/doctor.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LINE_BYTES 4096
#define DEPTH_MAX 8 /* of volumes on volumes */

/* ---- the mount ---- */

/* options: of the mount and of its file system, one behind the other. */
struct mount {
    char type[32];
    char source[256];
    char options[512];
};

static bool line_read(char *line, unsigned major_number, unsigned minor_number, struct mount *ret)
{
    unsigned of_major = 0;
    unsigned of_minor = 0;
    char of_mount[256] = "";
    char of_super[256] = "";
    char *behind = strstr(line, " - ");

    if (behind == NULL ||
        sscanf(line, "%*d %*d %u:%u %*s %*s %255s", &of_major, &of_minor, of_mount) != 3 ||
        of_major != major_number || of_minor != minor_number) {
        return false;
    }
    if (sscanf(behind + 3, "%31s %255s %255s", ret->type, ret->source, of_super) != 3) {
        return false;
    }
    (void)snprintf(ret->options, sizeof ret->options, "%s,%s", of_mount, of_super);
    return true;
}

static bool mount_find(dev_t device, struct mount *ret)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LINE_BYTES];
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = line_read(line, major(device), minor(device), ret);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static bool has_option(const struct mount *mount, const char *option)
{
    size_t size = strlen(option);
    const char *at = mount->options;

    while (at != NULL) {
        if (strncmp(at, option, size) == 0 && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
        at = strchr(at, ',');
        at = at == NULL ? NULL : at + 1;
    }
    return false;
}

/* ---- the disk ---- */

enum disk {
    DISK_NONE,    /* memory, a network, or a file system of several disks: nothing to be seen */
    DISK_UNKNOWN, /* a disk that says nothing of itself */
    DISK_ROTATING,
    DISK_FLASH,
    DISK_VIRTUAL
};

/* layers: names of the volumes on the way down, for people. */
struct disk_facts {
    enum disk disk;
    char layers[256];
    bool loop;
    bool lvm;
};

static bool sys_read(const char *folder, const char *name, char *ret, size_t ret_bytes)
{
    char path[PATH_MAX];
    FILE *file = NULL;
    bool good = false;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        return false;
    }
    file = fopen(path, "re");
    good = file != NULL && fgets(ret, (int)ret_bytes, file) != NULL;
    if (good) {
        ret[strcspn(ret, "\n")] = '\0';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return good;
}

static void layer_add(struct disk_facts *facts, const char *what, const char *name)
{
    size_t used = strlen(facts->layers);

    (void)snprintf(facts->layers + used, sizeof facts->layers - used, "%s%s %s",
                   used == 0 ? "" : " on ", what, name);
}

/* The folder of what a volume lies on; false: it lies on several, or on none. */
static bool slave_of(const char *folder, char ret[PATH_MAX])
{
    char path[PATH_MAX];
    char link[PATH_MAX];
    const struct dirent *entry = NULL;
    DIR *slaves = NULL;
    size_t count = 0;

    if (snprintf(path, sizeof path, "%s/slaves", folder) >= (int)sizeof path) {
        return false;
    }
    slaves = opendir(path);
    while (slaves != NULL && (entry = readdir(slaves)) != NULL) {
        if (entry->d_name[0] != '.' &&
            snprintf(link, sizeof link, "%s/%s", path, entry->d_name) < (int)sizeof link) {
            count++;
        }
    }
    if (slaves != NULL) {
        (void)closedir(slaves);
    }
    return count == 1 && realpath(link, ret) != NULL;
}

static bool is_virtual(const char *name, const char *folder)
{
    static const char *const models[] = {"QEMU",    "VBOX",       "VMware",       "Virtual",
                                         "Elastic", "Persistent", "EphemeralDisk"};
    char text[128] = "";
    size_t i;

    if (strncmp(name, "vd", 2) == 0 || strncmp(name, "xvd", 3) == 0) {
        return true;
    }
    if (sys_read(folder, "device/model", text, sizeof text) ||
        sys_read(folder, "device/vendor", text, sizeof text)) {
        for (i = 0; i < sizeof models / sizeof models[0]; i++) {
            if (strstr(text, models[i]) != NULL) {
                return true;
            }
        }
    }
    return false;
}

static enum disk disk_kind(const char *name, const char *folder)
{
    char text[32] = "";

    if (is_virtual(name, folder)) {
        return DISK_VIRTUAL;
    }
    if (!sys_read(folder, "queue/rotational", text, sizeof text)) {
        return DISK_UNKNOWN;
    }
    return text[0] == '1' ? DISK_ROTATING : DISK_FLASH;
}

/* folder: of the block device, resolved. */
static void disk_walk(char folder[PATH_MAX], struct disk_facts *ret)
{
    char text[PATH_MAX] = "";
    char *slash = NULL;
    const char *name = NULL;
    unsigned depth;

    for (depth = 0; depth < DEPTH_MAX; depth++) {
        if (sys_read(folder, "partition", text, sizeof text)) {
            slash = strrchr(folder, '/');
            *slash = '\0';
        }
        slash = strrchr(folder, '/');
        name = slash == NULL ? folder : slash + 1;
        if (sys_read(folder, "loop/backing_file", text, sizeof text)) {
            layer_add(ret, "loop of", text);
            ret->loop = true;
            ret->disk = DISK_UNKNOWN;
            return;
        }
        if (!sys_read(folder, "dm/uuid", text, sizeof text)) {
            layer_add(ret, "disk", name);
            ret->disk = disk_kind(name, folder);
            return;
        }
        ret->lvm = ret->lvm || strncmp(text, "LVM-", 4) == 0;
        layer_add(ret,
                  strncmp(text, "LVM-", 4) == 0     ? "LVM volume"
                  : strncmp(text, "CRYPT-", 6) == 0 ? "encrypted volume"
                                                    : "mapped volume",
                  sys_read(folder, "dm/name", text, sizeof text) ? text : name);
        if (!slave_of(folder, folder)) {
            ret->disk = DISK_UNKNOWN;
            return;
        }
    }
}

static void disk_find(dev_t device, struct disk_facts *ret)
{
    char path[64];
    char folder[PATH_MAX];

    memset(ret, 0, sizeof *ret);
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(device), minor(device));
    if (realpath(path, folder) != NULL) {
        disk_walk(folder, ret);
    }
}

/* ---- what is said ---- */

static const char *disk_text(const struct disk_facts *facts)
{
    if (facts->loop) {
        return "a file that is used as a disk";
    }
    switch (facts->disk) {
    case DISK_ROTATING:
        return "a rotating disk: the block is overwritten where it lies";
    case DISK_FLASH:
        return "flash: its controller writes elsewhere and may keep the old block for a while, where nothing but its own makers' tools reach";
    case DISK_VIRTUAL:
        return "a virtual disk: what its host does with the old block cannot be seen from here";
    case DISK_NONE:
        return "no disk of its own: memory, a network, or several disks";
    case DISK_UNKNOWN:
        break;
    }
    return "a disk that says nothing of itself";
}

static const char *advice_of(const struct mount *mount, const struct disk_facts *facts)
{
    if (has_option(mount, "data=journal")) {
        return "mount without data=journal: the journal keeps copies of the root slot";
    }
    if (facts->loop) {
        return "look at the file system that the backing file lies on: what is true there is true here";
    }
    if (facts->lvm) {
        return "make no LVM snapshot of this volume: it would keep the old root key";
    }
    switch (facts->disk) {
    case DISK_FLASH:
        return "put the root file on an encrypted volume, whose key dies with the disk, or keep the root key on a hardware token (pkcs11:)";
    case DISK_VIRTUAL:
        return "have its host keep no snapshots of this volume; or keep the root key on a hardware token (pkcs11:)";
    case DISK_NONE:
    case DISK_UNKNOWN:
        return "keep the root key on a disk of this machine, or on a hardware token (pkcs11:)";
    case DISK_ROTATING:
        break;
    }
    return "";
}

void vault_check_disk(const char *name, const char *what, const char *path,
                      struct vault_report *report)
{
    struct mount mount = {.type = "?", .source = "?"};
    struct disk_facts facts;
    struct stat info;
    char text[1200];
    const char *advice = NULL;

    if (stat(path, &info) != 0) {
        vault_check(report, name, VAULT_CHECK_FAILED, "cannot look at it",
                    "check the path and the user that runs this");
        return;
    }
    (void)mount_find(info.st_dev, &mount);
    disk_find(info.st_dev, &facts);
    advice = advice_of(&mount, &facts);
    (void)snprintf(text, sizeof text, "%s: %s%s%s%s%s: %s", what, mount.type,
                   has_option(&mount, "data=journal") ? " with a journal of data" : "",
                   has_option(&mount, "discard") ? ", discards" : "",
                   facts.layers[0] == '\0' ? "" : " on ", facts.layers, disk_text(&facts));
    vault_check(report, name, advice[0] == '\0' ? VAULT_CHECK_OK : VAULT_CHECK_WARNING, text,
                advice);
}
