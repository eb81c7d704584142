#include "kms/finality.h"

#include "tests/support/kms_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

static struct kms_extents placed(uint64_t physical)
{
    struct kms_extents extents = {.known = true, .count = 1};

    extents.extents[0].physical = physical;
    extents.extents[0].bytes = 8192;
    return extents;
}

static void test_extents_that_stay_are_in_place(void **state)
{
    struct kms_extents before = placed(4096);
    struct kms_extents after = placed(4096);

    (void)state;
    assert_true(kms_extents_in_place(&before, &after));
}

static void test_extents_that_move_split_or_are_shared_are_not(void **state)
{
    struct kms_extents before = placed(4096);
    struct kms_extents after = placed(8192);

    (void)state;
    assert_false(kms_extents_in_place(&before, &after));
    after = placed(4096);
    after.count = 2;
    assert_false(kms_extents_in_place(&before, &after));
    after = placed(4096);
    after.extents[0].bytes = 4096;
    assert_false(kms_extents_in_place(&before, &after));
    after = placed(4096);
    after.shared = true;
    assert_false(kms_extents_in_place(&before, &after));
    after = placed(4096);
    before.shared = true;
    assert_false(kms_extents_in_place(&before, &after));
    before = placed(4096);
    before.known = false;
    assert_false(kms_extents_in_place(&before, &after));
    before = placed(4096);
    after.known = false;
    assert_false(kms_extents_in_place(&before, &after));
}

static void test_a_place_without_extents_is_not_known(void **state)
{
    struct kms_extents extents = placed(1);
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    kms_extents_read(ends[0], true, &extents);
    assert_false(extents.known);
    assert_int_equal(extents.count, 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void test_a_file_that_cannot_be_asked_is_f0(void **state)
{
    struct kms_custodian_report report = {.finality = KMS_FINALITY_F1};

    (void)state;
    kms_finality_of_place(-1, &report);
    assert_int_equal(report.finality, KMS_FINALITY_F0);
    assert_true(strlen(report.reason) > 0);
}

static void test_an_unknown_file_system_is_f0(void **state)
{
    struct kms_custodian_report report = {.finality = KMS_FINALITY_F1};
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    kms_finality_of_place(fd, &report);
    assert_int_equal(report.finality, KMS_FINALITY_F0);
    assert_string_equal(report.file_system, "0x9fa0");
    (void)close(fd);
}

static void test_a_data_journal_is_seen_in_the_mounts_own_line(void **state)
{
    static const char journal[] =
        "36 35 8:3 / /keys rw,noatime shared:1 - ext4 /dev/sda3 rw,data=journal";
    static const char ordered[] = "36 35 8:3 / /data=journal rw - ext4 /dev/sda3 rw,data=ordered";

    (void)state;
    assert_true(kms_mountinfo_journals(journal, makedev(8, 3)));
    assert_false(kms_mountinfo_journals(journal, makedev(8, 4)));
    assert_false(kms_mountinfo_journals(ordered, makedev(8, 3)));
    assert_false(kms_mountinfo_journals("", makedev(8, 3)));
    assert_false(kms_mountinfo_journals("36 35 8:3 / /keys rw", makedev(8, 3)));
}

static void test_refuting_says_why(void **state)
{
    struct kms_custodian_report report = {.finality = KMS_FINALITY_F1};

    (void)state;
    kms_finality_refute(&report, "a reason", "an advice");
    assert_int_equal(report.finality, KMS_FINALITY_F0);
    assert_string_equal(report.reason, "a reason");
    assert_string_equal(report.advice, "an advice");
}

/* Where the test's folder is of class F1, a copy that shares the blocks, or a file that moved, must be noticed. */
static void test_the_real_root_file_is_in_place_where_the_class_is_f1(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_custodian_report report;
    struct kms_state now;

    kms_state(fixture->kms, &now);
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, NULL), KL_OK);
    assert_int_equal(report.in_place, report.finality == KMS_FINALITY_F1);
    assert_int_equal(now.finality, report.finality);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extents_that_stay_are_in_place),
        cmocka_unit_test(test_extents_that_move_split_or_are_shared_are_not),
        cmocka_unit_test(test_a_place_without_extents_is_not_known),
        cmocka_unit_test(test_a_file_that_cannot_be_asked_is_f0),
        cmocka_unit_test(test_an_unknown_file_system_is_f0),
        cmocka_unit_test(test_a_data_journal_is_seen_in_the_mounts_own_line),
        cmocka_unit_test(test_refuting_says_why),
        cmocka_unit_test_setup_teardown(test_the_real_root_file_is_in_place_where_the_class_is_f1,
                                        kms_fixture_setup, kms_fixture_teardown),
    };

    return cmocka_run_group_tests_name("finality", tests, NULL, NULL);
}
