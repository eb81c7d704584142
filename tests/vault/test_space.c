/* How much room there is, with disks that say what the test wants. */
#include "vault/space.h"

#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)
#define RESERVE (256 * MIB)
#define BALLAST VAULT_SPACE_BALLAST_BYTES
#define TABLES VAULT_SPACE_TABLES_BYTES
#define PATH_BYTES 256

/* What the disks of data/, keys/ and files/ say; UINT64_MAX: they do not answer. */
static uint64_t free_of[VAULT_SPACE_PLACES];

static int probe(const char *path, struct statvfs *ret)
{
    const char *name = strrchr(path, '/') + 1;

    for (int i = 0; i < VAULT_SPACE_PLACES; i++) {
        if (strcmp(name, vault_space_place_name((enum vault_space_place)i)) == 0 &&
            free_of[i] != UINT64_MAX) {
            *ret = (struct statvfs){.f_bavail = free_of[i] / 4096, .f_frsize = 4096};
            return 0;
        }
    }
    errno = EIO;
    return -1;
}

static void all_have(uint64_t bytes)
{
    for (int i = 0; i < VAULT_SPACE_PLACES; i++) {
        free_of[i] = bytes;
    }
}

struct fixture {
    char dir[PATH_BYTES];
    char ballast[PATH_BYTES + 16];
    int stderr_before;
    struct vault_space *space;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *tmp = getenv("TMPDIR");
    char path[PATH_BYTES + 16];

    (void)snprintf(fixture->dir, sizeof fixture->dir, "%s/kluis-space-XXXXXX",
                   tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(fixture->dir));
    for (int i = 0; i < VAULT_SPACE_PLACES; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fixture->dir,
                       vault_space_place_name((enum vault_space_place)i));
        assert_int_equal(mkdir(path, 0700), 0);
    }
    (void)snprintf(fixture->ballast, sizeof fixture->ballast, "%s/ballast", fixture->dir);
    fixture->stderr_before = dup(STDERR_FILENO); /* turns are logged */
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_BYTES + 16];

    vault_space_free(fixture->space);
    (void)unlink(fixture->ballast);
    for (int i = 0; i < VAULT_SPACE_PLACES; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fixture->dir,
                       vault_space_place_name((enum vault_space_place)i));
        (void)rmdir(path);
    }
    (void)dup2(fixture->stderr_before, STDERR_FILENO);
    (void)close(fixture->stderr_before);
    (void)rmdir(fixture->dir);
    free(fixture);
    return 0;
}

static struct vault_space *begin(struct fixture *fixture, uint64_t reserve, bool look_only)
{
    assert_int_equal(
        vault_space_new(fixture->dir, "main", reserve, look_only, probe, &fixture->space, NULL),
        KL_OK);
    return fixture->space;
}

/* Bytes of the ballast; 0: there is none. */
static uint64_t ballast_of(const struct fixture *fixture)
{
    struct stat file = {0};

    return stat(fixture->ballast, &file) == 0 ? (uint64_t)file.st_blocks * 512 : 0;
}

/* What a disk has to have where ballast lacks: without any it counts as taken. */
static void test_less_than_the_reserve_is_low_until_there_is_a_quarter_more(void **state)
{
    const uint64_t lacks = BALLAST;
    struct vault_space *space;

    all_have(RESERVE + lacks);
    space = begin(*state, RESERVE, true);
    assert_false(vault_space_is_low(space));
    all_have(RESERVE + lacks - 4096);
    vault_space_look(space, true);
    assert_true(vault_space_is_low(space));
    all_have(RESERVE + lacks + RESERVE / 4 - 4096);
    vault_space_look(space, true);
    assert_true(vault_space_is_low(space));
    all_have(RESERVE + lacks + RESERVE / 4);
    vault_space_look(space, true);
    assert_false(vault_space_is_low(space));
    all_have(RESERVE + lacks);
    vault_space_look(space, true);
    assert_false(vault_space_is_low(space));
}

static void test_one_place_is_enough_to_be_low_and_is_named(void **state)
{
    struct vault_space_figures figures;
    struct vault_space *space;
    char reason[160];

    for (int i = 0; i < VAULT_SPACE_PLACES; i++) {
        all_have(1000 * MIB);
        space = begin(*state, RESERVE, true);
        vault_space_reason(space, reason, sizeof reason);
        assert_string_equal(reason, "");
        free_of[i] = 3 * MIB;
        vault_space_look(space, false);
        assert_true(vault_space_is_low(space));
        vault_space_reason(space, reason, sizeof reason);
        assert_int_equal(
            strncmp(reason, vault_space_place_name((enum vault_space_place)i), strlen("data")), 0);
        assert_non_null(strstr(reason, "3 MiB free, and 384 are kept"));
        vault_space_tell(space, &figures);
        assert_true(figures.low);
        for (int other = 0; other < VAULT_SPACE_PLACES; other++) {
            assert_int_equal(figures.places[other].low, other == i);
            assert_int_equal(figures.places[other].free_bytes, free_of[other]);
        }
        assert_int_equal(figures.reserve_bytes, RESERVE);
        vault_space_free(space);
        ((struct fixture *)*state)->space = NULL;
    }
}

static void test_a_disk_that_does_not_answer_stays_what_it_was(void **state)
{
    struct vault_space *space;

    all_have(RESERVE / 2);
    space = begin(*state, RESERVE, false);
    assert_true(vault_space_is_low(space));
    all_have(UINT64_MAX);
    vault_space_look(space, true);
    assert_true(vault_space_is_low(space));
}

static void test_without_a_reserve_it_is_never_low(void **state)
{
    struct vault_space *space;

    all_have(0);
    space = begin(*state, 0, false);
    vault_space_look(space, true);
    assert_false(vault_space_is_low(space));
    assert_false(vault_space_is_low(NULL));
    all_have(1000 * MIB);
    vault_space_look(space, true);
    assert_int_equal(ballast_of(*state), 0);
}

/* A space whose ballast is made. */
static struct vault_space *with_ballast(struct fixture *fixture)
{
    struct vault_space *space;

    all_have(1000 * MIB);
    space = begin(fixture, RESERVE, false);
    vault_space_look(space, true);
    if (ballast_of(fixture) == 0) {
        skip(); /* a file system that takes no blocks beforehand */
    }
    return space;
}

static void test_ballast_is_made_where_there_is_room_and_given_up_where_there_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct vault_space_figures figures;
    struct vault_space *space;
    struct stat file;

    all_have(BALLAST + 2 * TABLES - 4096);
    space = begin(fixture, RESERVE, false);
    vault_space_look(space, true);
    assert_int_equal(ballast_of(fixture), 0);
    all_have(BALLAST + 2 * TABLES);
    vault_space_look(space, false); /* by a request */
    assert_int_equal(ballast_of(fixture), 0);
    vault_space_free(space);
    space = with_ballast(fixture);
    assert_true(ballast_of(fixture) >= BALLAST);
    assert_int_equal(stat(fixture->ballast, &file), 0);
    assert_int_equal(file.st_size, 0); /* so a copy has nothing of it */
    vault_space_tell(space, &figures);
    assert_int_equal(figures.ballast_bytes, ballast_of(fixture));

    all_have(TABLES);
    vault_space_look(space, true);
    assert_true(ballast_of(fixture) >= BALLAST);
    free_of[VAULT_SPACE_FILES] = 0; /* whose disk has none */
    vault_space_look(space, true);
    assert_true(ballast_of(fixture) >= BALLAST);
    free_of[VAULT_SPACE_DATA] = TABLES - 4096;
    vault_space_look(space, false);
    assert_int_equal(ballast_of(fixture), 0);
    vault_space_tell(space, &figures);
    assert_int_equal(figures.ballast_bytes, 0);
}

static void test_who_gave_up_the_ballast_is_low_still(void **state)
{
    struct vault_space *space = with_ballast(*state);

    all_have(RESERVE);
    vault_space_look(space, true);
    assert_false(vault_space_is_low(space));
    all_have(TABLES - 4096);
    vault_space_look(space, true);
    assert_true(vault_space_is_low(space));
    assert_int_equal(ballast_of(*state), 0);
    all_have(TABLES + BALLAST + RESERVE / 4); /* with what it gave, and something more */
    vault_space_look(space, true);
    assert_true(vault_space_is_low(space));
    all_have(RESERVE + RESERVE / 4 + BALLAST);
    vault_space_look(space, true);
    assert_false(vault_space_is_low(space));
}

static void test_ballast_is_given_up_before_a_vault_is_opened_on_a_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct vault_space *space = with_ballast(fixture);

    vault_space_free(space);
    all_have(0);
    space = begin(fixture, RESERVE, true); /* somebody looks only */
    assert_true(vault_space_is_low(space));
    assert_true(ballast_of(fixture) > 0);
    vault_space_free(space);
    (void)begin(fixture, RESERVE, false);
    assert_int_equal(ballast_of(fixture), 0);
}

static void test_a_link_in_the_place_of_the_ballast_is_not_followed(void **state)
{
    struct fixture *fixture = *state;
    char target[PATH_BYTES + 32];

    (void)snprintf(target, sizeof target, "%s/data/target", fixture->dir);
    assert_int_equal(symlink(target, fixture->ballast), 0);
    all_have(1000 * MIB);
    vault_space_look(begin(fixture, RESERVE, false), true);
    assert_int_equal(access(target, F_OK), -1);
}

static void test_where_no_ballast_can_be_made_none_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct vault_space *space;

    assert_int_equal(mkdir(fixture->ballast, 0700), 0); /* in its place */
    all_have(1000 * MIB);
    space = begin(fixture, RESERVE, false);
    vault_space_look(space, true);
    all_have(RESERVE);
    vault_space_look(space, true);
    assert_false(vault_space_is_low(space));
    (void)rmdir(fixture->ballast);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_less_than_the_reserve_is_low_until_there_is_a_quarter_more),
        TEST(test_one_place_is_enough_to_be_low_and_is_named),
        TEST(test_a_disk_that_does_not_answer_stays_what_it_was),
        TEST(test_without_a_reserve_it_is_never_low),
        TEST(test_ballast_is_made_where_there_is_room_and_given_up_where_there_is_none),
        TEST(test_who_gave_up_the_ballast_is_low_still),
        TEST(test_ballast_is_given_up_before_a_vault_is_opened_on_a_full_disk),
        TEST(test_a_link_in_the_place_of_the_ballast_is_not_followed),
        TEST(test_where_no_ballast_can_be_made_none_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
