/*
 * A library for LD_PRELOAD that watches what a program writes to the files
 * below one folder, and can end the program, or have the disk fail, at any
 * of those writes.
 *
 *   KLUIS_IO_ROOT=DIR      what is watched; nothing else is touched
 *   KLUIS_IO_LOG=FILE      every change is appended to FILE, by every process that is started with it
 *   KLUIS_IO_CONTROL=FILE  24 bytes, shared memory of three u64 in the machine's byte order: how many changes there were (set
 *                          to 0 at the start), at which one to end (0: none), and whether after (1) or before (0) it; 2: no end, but a write or
 *                          sync that fails with EIO, that one alone, and nothing of it is done; "watch_io: failed PATH" on stderr says so
 *   KLUIS_IO_KILL=N[:before|:after|:fail]  the second and third of them, set at the start
 *   KLUIS_IO_CUT=DIR       the end is not that of the process: the ext4 file system that DIR is on is shut down, as if its power went
 *
 * A change is a write, a cut, a rename, a link, a removal, and a sync. RocksDB's text logs (LOG, LOG.old.*) are recorded but not
 * counted: nothing depends on them. The end is signal 9 to the process itself.
 *
 * RECORDS, little-endian:  "KLIO" op 1, zero 1, path size u16, thread u32, data size u32, time u64 (ns), number u64, path, data
 *
 *   'S' a process began (path "", data 16 bytes "KLUIS IO BEGINS\n", by which a reader finds the next one behind a record cut short)
 *   'W' write: number is the offset, data the bytes; noted before it is done
 *   'T' cut or grown to number bytes        'O' opened so that it is made; number 1: and emptied
 *   'R' renamed, 'L' linked: data is the new path     'U' removed
 *   'D' a folder was made, which is not counted
 *   'B' a sync begins, 'F' has ended well (of a file or a folder); number 1: of everything (sync, syncfs)
 *   'M' mapped so that memory writes to it: such changes are not seen, a reader must take this for a failure
 *   '?' a call that would have written by another way; it was refused with an error that makes the caller write instead
 *
 * Which file a descriptor means is asked of /proc at each call, so it does not matter how it was opened. Streams (stdio) of watched
 * files are written through, as the C library's own writes cannot be seen from here.
 */
#ifndef KLUIS_TESTS_WATCH_IO_H
#define KLUIS_TESTS_WATCH_IO_H

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The next definition of a function: the C library's. */
#define REAL(name) ((__typeof__(&name))watch_real(#name))
void *watch_real(const char *name);

/* Whether anything is watched. */
bool watch_is_on(void);
/* The folder that is watched. */
const char *watch_root(void);
/* False: not a watched file. A removed one keeps its name, with " (deleted)" behind it. */
bool watch_fd(int fd, char ret_path[PATH_MAX]);
/* The path that a name means; its last part need not be there. */
bool watch_name(int folder, const char *name, char ret_path[PATH_MAX]);

/* Changes are made one at a time, so that their order in the log is the one in which they happened. give keeps errno. */
void watch_turn_take(void);
void watch_turn_give(void);

/* A record; the turn is held. data: the parts of one piece. */
void watch_note(char op, const char *path, uint64_t number, const struct iovec *data, int count);
void watch_note_path(char op, const char *path, uint64_t number, const char *other);

/* Around a change, with the turn held: counts it, ends the process where that was asked for. begin returns its number; 0: it does not count. */
uint64_t watch_change_begin(const char *path);
void watch_change_end(uint64_t number);
/* Whether that one is to fail, after its begin; errno is set then. */
bool watch_change_fails(uint64_t number, const char *path);

#endif
