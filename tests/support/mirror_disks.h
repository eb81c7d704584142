/*
 * The disks of mirrors for tests: a kms_mirror_source whose rows lie in
 * memory storages that outlive their closing, and can be cut off or hang.
 * Root files lie in real folders.
 */
#ifndef KLUIS_TESTS_MIRROR_DISKS_H
#define KLUIS_TESTS_MIRROR_DISKS_H

#include "kluis/kms/kms.h"
#include "tests/support/memory_storage.h"

struct mirror_disks;

struct mirror_disks *mirror_disks_new(void);
/* Waits for writes that hung. */
void mirror_disks_free(struct mirror_disks *disks);
/* Valid until mirror_disks_free(). */
const struct kms_mirror_source *mirror_disks_face(struct mirror_disks *disks);

/* The rows at a path that was opened with create before; NULL: none. */
struct memory_storage *mirror_disks_at(struct mirror_disks *disks, const char *path);
/* Put other rows there; the caller's until now. */
void mirror_disks_replace(struct mirror_disks *disks, const char *path,
                          struct memory_storage *storage);
/* As if it had never been there. */
void mirror_disks_forget(struct mirror_disks *disks, const char *path);
/* Whether opens work; what is open stays so. */
void mirror_disks_reachable(struct mirror_disks *disks, bool reachable);
/* Called whenever rows are opened, by the mirror's thread: what somebody else does to the folder at that moment. NULL: nothing. */
void mirror_disks_at_open(struct mirror_disks *disks, void (*call)(void *context), void *context);
/* From now on every write to that storage waits, until all are let go. */
void mirror_disks_hang(struct mirror_disks *disks, struct memory_storage *storage);
void mirror_disks_let_go(struct mirror_disks *disks);
/* How many are open. */
size_t mirror_disks_open(struct mirror_disks *disks);

/* Whether both hold the same rows, the one that says which mirror it is aside. */
bool mirror_disks_same(struct memory_storage *a, struct memory_storage *b);

#endif
