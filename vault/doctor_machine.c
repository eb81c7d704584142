/* What the machine could do to keys and data: core dumps, swap, too little memory or space. */
#include "vault/doctor.h"
#include "vault/space.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (UINT64_C(1024) * 1024)
#define LOCKED_LEAST (1 * MIB)
#define LOCKED_GOOD (16 * MIB)
#define SPACE_GOOD (1024 * MIB)

/* The first line of a small file of /proc, cut; "" when it cannot be read. ret_lines: how many lines it has. */
static void proc_read(const char *path, char *ret, size_t ret_bytes, size_t *ret_lines)
{
    FILE *file = fopen(path, "re");
    char line[512];
    size_t lines = 0;

    ret[0] = '\0';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (lines == 0) {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(ret, ret_bytes, "%.*s", (int)ret_bytes - 1, line);
        }
        lines++;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    *ret_lines = lines;
}

static void check_core_dumps(struct vault_report *report)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    char pattern[128];
    char text[320];
    size_t lines = 0;
    bool dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;

    (void)getrlimit(RLIMIT_CORE, &limit);
    proc_read("/proc/sys/kernel/core_pattern", pattern, sizeof pattern, &lines);
    (void)snprintf(text, sizeof text, "%s for this process; core_pattern is \"%s\"",
                   dumpable ? "on" : "off", pattern);
    if (!dumpable) {
        vault_check(report, "core_dumps", VAULT_CHECK_OK, text, "");
    } else if (limit.rlim_cur == 0 && pattern[0] != '|') {
        vault_check(report, "core_dumps", VAULT_CHECK_OK, "off by the limit of this process", "");
    } else {
        vault_check(
            report, "core_dumps", VAULT_CHECK_WARNING, text,
            "kluisd turns them off for itself; LimitCORE=0 in the unit does so before it starts");
    }
}

static void check_locked_memory(struct vault_report *report)
{
    struct rlimit limit = {0, 0};
    char text[128];
    enum vault_check_state state = VAULT_CHECK_OK;

    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY) {
        vault_check(report, "locked_memory", VAULT_CHECK_OK, "no limit", "");
        return;
    }
    if (limit.rlim_cur < LOCKED_LEAST) {
        state = VAULT_CHECK_FAILED;
    } else if (limit.rlim_cur < LOCKED_GOOD) {
        state = VAULT_CHECK_WARNING;
    }
    (void)snprintf(text, sizeof text, "limit of %llu KiB (RLIMIT_MEMLOCK)",
                   (unsigned long long)(limit.rlim_cur / 1024));
    vault_check(
        report, "locked_memory", state, text,
        state == VAULT_CHECK_OK
            ? ""
            : "raise it: LimitMEMLOCK=64M in the unit, or ulimit -l; keys are kept in locked memory only");
}

void vault_check_space(const struct vault_options *options, struct vault_report *report)
{
    struct vault_space_figures space;
    struct vault_space *looked = NULL;
    uint64_t least = UINT64_MAX;
    enum vault_check_state state = VAULT_CHECK_OK;
    char text[128];

    if (access(options->data_dir, F_OK) != 0 ||
        vault_space_new(options->data_dir, "", options->reserve_bytes, true, NULL, &looked, NULL) !=
            KL_OK) {
        vault_check(report, "free_space", VAULT_CHECK_FAILED, "cannot look at the data directory",
                    "check the path");
        return;
    }
    vault_space_tell(looked, &space);
    for (size_t i = 0; i < VAULT_SPACE_PLACES; i++) {
        least = space.places[i].free_bytes < least ? space.places[i].free_bytes : least;
    }
    if (space.low) {
        state = VAULT_CHECK_FAILED;
    } else if (least < SPACE_GOOD + space.reserve_bytes) {
        state = VAULT_CHECK_WARNING;
    }
    (void)snprintf(text, sizeof text,
                   "%llu MiB free for the data directory, of which %llu are kept for erasures",
                   (unsigned long long)(least / MIB),
                   (unsigned long long)(space.reserve_bytes / MIB));
    vault_check(report, "free_space", state, text,
                state == VAULT_CHECK_OK
                    ? ""
                    : "make room: below what is kept for erasures (reserve-mib) nothing "
                      "else is answered");
    vault_space_free(looked);
}

static void check_swap(struct vault_report *report)
{
    char first[128];
    size_t lines = 0;

    proc_read("/proc/swaps", first, sizeof first, &lines);
    if (lines == 0) {
        vault_check(report, "swap", VAULT_CHECK_WARNING, "cannot tell whether there is swap",
                    "see to it that swap is off or encrypted");
    } else if (lines > 1) {
        vault_check(
            report, "swap", VAULT_CHECK_WARNING,
            "swap is on: keys are locked in memory, values being answered are not",
            "turn swap off, or encrypt it with a key made at boot; MemorySwapMax=0 in the unit does it for the vault alone");
    } else {
        vault_check(report, "swap", VAULT_CHECK_OK, "there is none", "");
    }
}

void vault_check_machine(struct vault_report *report)
{
    check_core_dumps(report);
    check_locked_memory(report);
    check_swap(report);
}
