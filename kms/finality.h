/*
 * Whether overwriting a file's bytes really overwrites them: the file system
 * and its options, and where the extents of the file lie before and after a
 * write. What cannot be seen from here (snapshots of the volume, an SSD's
 * spare blocks) is said in the advice.
 */
#ifndef KLUIS_KMS_FINALITY_H
#define KLUIS_KMS_FINALITY_H

#include "kluis/kms/custodian.h"

#include <stdint.h>
#include <sys/types.h>

#define KMS_EXTENTS_MAX 8

/* Where the bytes of a file lie. known is false where the file system does not say. */
struct kms_extents {
    bool known;
    bool shared; /* other files or snapshots hold the same blocks */
    uint32_t count;
    struct {
        uint64_t logical;
        uint64_t physical;
        uint64_t bytes;
    } extents[KMS_EXTENTS_MAX];
};
/* sync first writes out what the file system has not placed yet. */
void kms_extents_read(int fd, bool sync, struct kms_extents *ret_extents);
/* Both known, none shared, nothing moved. */
bool kms_extents_in_place(const struct kms_extents *before, const struct kms_extents *after);

/* Ask btrfs not to copy on write; only a file that is still empty can be asked, and no other file system needs it. */
void kms_finality_prepare(int fd);
/* What the file system promises, written to the report: finality, file_system, reason, advice. in_place is not looked at. */
void kms_finality_of_place(int fd, struct kms_custodian_report *report);
/* Whether a line of /proc/self/mountinfo (proc(5)) is of that device and mounts it with data=journal. */
bool kms_mountinfo_journals(const char *line, dev_t device);
/* Lower the class to F0 with a reason. */
void kms_finality_refute(struct kms_custodian_report *report, const char *reason,
                         const char *advice);

#endif
