#include "kms/finality.h"

#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#define LINE_MAX_BYTES 4096

#define UNPLACED_FLAGS                                                            \
    (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE | \
     FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_ENCODED)

void kms_extents_read(int fd, bool sync, struct kms_extents *ret_extents)
{
    union {
        struct fiemap map;
        unsigned char room[sizeof(struct fiemap) + KMS_EXTENTS_MAX * sizeof(struct fiemap_extent)];
    } ask;
    struct fiemap_extent extents[KMS_EXTENTS_MAX];

    memset(ret_extents, 0, sizeof *ret_extents);
    memset(&ask, 0, sizeof ask);
    ask.map.fm_length = FIEMAP_MAX_OFFSET;
    ask.map.fm_flags = sync ? FIEMAP_FLAG_SYNC : 0;
    ask.map.fm_extent_count = KMS_EXTENTS_MAX;
    if (ioctl(fd, FS_IOC_FIEMAP, &ask.map) != 0 || ask.map.fm_mapped_extents == 0 ||
        ask.map.fm_mapped_extents >= KMS_EXTENTS_MAX) {
        return;
    }
    memcpy(extents, ask.room + sizeof(struct fiemap), sizeof extents);
    ret_extents->known = true;
    ret_extents->count = ask.map.fm_mapped_extents;
    for (uint32_t i = 0; i < ret_extents->count; i++) {
        ret_extents->extents[i].logical = extents[i].fe_logical;
        ret_extents->extents[i].physical = extents[i].fe_physical;
        ret_extents->extents[i].bytes = extents[i].fe_length;
        ret_extents->shared |= (extents[i].fe_flags & FIEMAP_EXTENT_SHARED) != 0;
        ret_extents->known &= (extents[i].fe_flags & UNPLACED_FLAGS) == 0;
    }
}

bool kms_extents_in_place(const struct kms_extents *before, const struct kms_extents *after)
{
    if (!before->known || !after->known || before->shared || after->shared ||
        before->count != after->count) {
        return false;
    }
    for (uint32_t i = 0; i < before->count; i++) {
        if (before->extents[i].logical != after->extents[i].logical ||
            before->extents[i].physical != after->extents[i].physical ||
            before->extents[i].bytes != after->extents[i].bytes) {
            return false;
        }
    }
    return true;
}

bool kms_mountinfo_journals(const char *line, dev_t device)
{
    unsigned major_number = 0;
    unsigned minor_number = 0;
    const char *options;

    if (sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) != 2 ||
        makedev(major_number, minor_number) != device) {
        return false;
    }
    options = strstr(line, " - ");
    return options != NULL && strstr(options, "data=journal") != NULL;
}

static bool mounted_with_data_journal(dev_t device)
{
    char line[LINE_MAX_BYTES];
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    bool journal = false;

    while (mounts != NULL && !journal && fgets(line, sizeof line, mounts) != NULL) {
        journal = kms_mountinfo_journals(line, device);
    }
    if (mounts != NULL) {
        (void)fclose(mounts);
    }
    return journal;
}

/* What is the default of this file system (tune2fs -o journal_data) is in no mount's options, but in ext4's own list. */
static bool journals_by_default(dev_t device)
{
    char link[64];
    char target[PATH_MAX];
    char options_path[PATH_MAX];
    char line[LINE_MAX_BYTES];
    const char *name;
    FILE *options;
    bool journal = false;
    ssize_t bytes;

    (void)snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(device), minor(device));
    bytes = readlink(link, target, sizeof target - 1);
    if (bytes <= 0) {
        return false;
    }
    target[bytes] = '\0';
    name = strrchr(target, '/');
    (void)snprintf(options_path, sizeof options_path, "/proc/fs/ext4/%.64s/options",
                   name == NULL ? target : name + 1);
    options = fopen(options_path, "re");
    while (options != NULL && !journal && fgets(line, sizeof line, options) != NULL) {
        journal = strncmp(line, "data=journal", 12) == 0;
    }
    if (options != NULL) {
        (void)fclose(options);
    }
    return journal;
}

static bool has_flag(int fd, int flag)
{
    int flags = 0;

    return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & flag) != 0;
}

void kms_finality_prepare(int fd)
{
    struct statfs place;
    int flags = 0;

    if (fstatfs(fd, &place) == 0 && (uint32_t)place.f_type == BTRFS_SUPER_MAGIC &&
        ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS,
                    &flags); /* kms_finality_of_place() looks whether it took */
    }
}

static void say(struct kms_custodian_report *report, const char *reason, const char *advice)
{
    (void)snprintf(report->reason, sizeof report->reason, "%s", reason);
    (void)snprintf(report->advice, sizeof report->advice, "%s", advice);
}

void kms_finality_refute(struct kms_custodian_report *report, const char *reason,
                         const char *advice)
{
    report->finality = KMS_FINALITY_F0;
    say(report, reason, advice);
}

#define ADVICE_MOVE "put the root file on a small ext4 or xfs volume of its own"
#define ADVICE_F1 \
    "keep the volume out of snapshots and backups; an SSD may keep old blocks that only its maker can read"

static void say_ext4(int fd, dev_t device, struct kms_custodian_report *report)
{
    if (mounted_with_data_journal(device) || journals_by_default(device) ||
        has_flag(fd, FS_JOURNAL_DATA_FL)) {
        kms_finality_refute(report, "data=journal: the journal keeps a copy of what is overwritten",
                            "mount with data=ordered, or " ADVICE_MOVE);
    }
}

static void say_btrfs(int fd, struct kms_custodian_report *report)
{
    if (!has_flag(fd, FS_NOCOW_FL)) {
        kms_finality_refute(report, "btrfs writes elsewhere and keeps the old blocks",
                            "make the root file with chattr +C, or " ADVICE_MOVE);
    }
}

static const struct {
    uint32_t magic;
    const char *name;
} file_systems[] = {
    {EXT4_SUPER_MAGIC, "ext4"}, {XFS_SUPER_MAGIC, "xfs"}, {BTRFS_SUPER_MAGIC, "btrfs"},
    {TMPFS_MAGIC, "tmpfs"},     {ZFS_SUPER_MAGIC, "zfs"}, {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
    {NFS_SUPER_MAGIC, "nfs"},   {RAMFS_MAGIC, "ramfs"},   {F2FS_SUPER_MAGIC, "f2fs"},
    {0xff534d42, "cifs"},       {0xfe534d42, "smb2"},     {FUSE_SUPER_MAGIC, "fuse"},
};

void kms_finality_of_place(int fd, struct kms_custodian_report *report)
{
    struct statfs place;
    struct stat file;
    uint32_t magic;

    if (fstatfs(fd, &place) != 0 || fstat(fd, &file) != 0) {
        kms_finality_refute(report, "the file system cannot be asked", ADVICE_MOVE);
        return;
    }
    magic = (uint32_t)place.f_type;
    (void)snprintf(report->file_system, sizeof report->file_system, "0x%x", magic);
    for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++) {
        if (file_systems[i].magic == magic) {
            (void)snprintf(report->file_system, sizeof report->file_system, "%s",
                           file_systems[i].name);
        }
    }
    report->finality = KMS_FINALITY_F1;
    say(report, "overwritten in place", ADVICE_F1);
    if (magic == EXT4_SUPER_MAGIC) {
        say_ext4(fd, file.st_dev, report);
    } else if (magic == BTRFS_SUPER_MAGIC) {
        say_btrfs(fd, report);
    } else if (magic != XFS_SUPER_MAGIC) {
        kms_finality_refute(report, "this file system is not known to overwrite in place",
                            ADVICE_MOVE);
    }
}
