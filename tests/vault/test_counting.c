/* Counts of people, and the rule that nothing is told of few. */
#include "vault/counting.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3000
#define SEED 20230801u

static void add(struct vault_counting *counting, unsigned who, const char *field, const char *value,
                bool remember)
{
    unsigned char person[VAULT_PERSON_BYTES] = {0};

    memcpy(person, &who, sizeof who);
    assert_int_equal(
        vault_counting_add(counting, person, field, VAULT_GENERAL_YEAR, value, remember, NULL),
        KL_OK);
}

static uint64_t people_of(const struct vault_counted *counted, const char *value)
{
    size_t i;

    for (i = 0; value != NULL && i < counted->count; i++) {
        if (strcmp(counted->cells[i].value, value) == 0) {
            return counted->cells[i].people;
        }
    }
    return value == NULL ? counted->other : 0;
}

static void test_small_cells_are_told_of_only_together(void **state)
{
    struct vault_counting *counting = vault_counting_new();
    const struct vault_counted *counted = NULL;
    size_t dropped = 7;
    unsigned who;

    (void)state;
    vault_counting_minimum(counting, 4);
    vault_counting_minimum(counting, 3); /* the highest counts */
    assert_int_equal(vault_counting_minimum_of(counting), 4);
    for (who = 0; who < 13; who++) {
        add(counting, who, "person.birth", who < 6 ? "1984" : who < 10 ? "1990" : "1991", true);
    }
    vault_counting_settle(counting, &dropped);
    counted = vault_counting_at(counting, 0);
    assert_int_equal(dropped, 0);
    assert_int_equal(people_of(counted, "1984"), 6);
    assert_int_equal(people_of(counted, "1991"), 0);
    assert_int_equal(people_of(counted, "1990"), 0); /* three alone would be the rest of thirteen */
    assert_int_equal(people_of(counted, NULL), 7);
    assert_null(vault_counting_at(counting, 1));
    vault_counting_free(counting);
}

static void test_one_who_is_different_is_not_told_by_what_is_missing(void **state)
{
    struct vault_counting *counting = vault_counting_new();
    size_t dropped = 0;
    unsigned who;

    (void)state;
    for (who = 0; who < 20; who++) {
        add(counting, who, "person.member", who < 19 ? "true" : "false", true);
    }
    vault_counting_settle(counting, &dropped);
    assert_int_equal(vault_counting_at(counting, 0)->count, 0);
    assert_int_equal(vault_counting_at(counting, 0)->other, 20);
    vault_counting_free(counting);
}

static void test_of_too_few_nothing_is_left(void **state)
{
    struct vault_counting *counting = vault_counting_new();
    size_t dropped = 0;

    (void)state;
    add(counting, 1, "person.birth", "1984", true);
    add(counting, 2, "person.birth", NULL, true);
    vault_counting_settle(counting, &dropped);
    assert_int_equal(dropped, 1);
    assert_null(vault_counting_at(counting, 0));
    vault_counting_free(counting);
}

static void test_nobody_counts_twice(void **state)
{
    struct vault_counting *counting = vault_counting_new();
    size_t dropped = 0;
    unsigned who;
    int again;

    (void)state;
    for (again = 0; again < 5; again++) {
        for (who = 0; who < 3000; who++) {
            add(counting, who, "person.birth", again == 0 ? "1984" : "1990", true);
        }
    }
    add(counting, 1, "person.birth", "1984", false);
    add(counting, 5000, "person.birth", "1984", false);
    vault_counting_settle(counting, &dropped);
    assert_int_equal(vault_counting_at(counting, 0)->count, 1);
    assert_int_equal(people_of(vault_counting_at(counting, 0), "1984"), 3001);
    vault_counting_free(counting);
}

static void test_what_has_too_many_values_keeps_the_largest(void **state)
{
    struct vault_counting *counting = vault_counting_new();
    const struct vault_counted *counted = NULL;
    char value[VAULT_GENERAL_MAX_BYTES + 1];
    size_t dropped = 0;
    unsigned who;

    (void)state;
    for (who = 0; who < 4 * (VAULT_CELLS_COUNTING_MAX + 10); who++) {
        (void)snprintf(value, sizeof value, "%u", 10000 + who / 4);
        add(counting, who, "person.code", value, false);
    }
    add(counting, who, "person.code", "10009", false);
    vault_counting_settle(counting, &dropped);
    counted = vault_counting_at(counting, 0);
    assert_int_equal(counted->count, VAULT_CELLS_MAX);
    assert_int_equal(people_of(counted, "10009"), 5);
    assert_int_equal(counted->other, 4 * (VAULT_CELLS_COUNTING_MAX + 10 - VAULT_CELLS_MAX));
    vault_counting_free(counting);
}

/* Against a count made another way: who is in which statistic, and how many there are. */
static void test_any_counts_add_up_and_none_is_of_few(void **state)
{
    static const char *const fields[] = {"a.x", "a.y", "b.z"};
    static const char *const values[] = {"1", "2", "3", "4", "5", "6"};
    unsigned round;

    (void)state;
    srand(SEED);
    for (round = 0; round < ROUNDS; round++) {
        struct vault_counting *counting = vault_counting_new();
        bool seen[3][64] = {{false}};
        uint64_t people[3] = {0};
        uint64_t cells[3][6] = {{0}};
        unsigned minimum = 3 + (unsigned)rand() % 12;
        unsigned adds = (unsigned)rand() % 200;
        size_t dropped = 0;
        size_t left = 0;
        size_t expected = 0;
        unsigned i;
        size_t k;

        vault_counting_minimum(counting, minimum);
        for (i = 0; i < adds; i++) {
            unsigned field = (unsigned)rand() % 3;
            unsigned who = (unsigned)rand() % 64;
            unsigned value = (unsigned)rand() % 7 % (1 + round % 7);

            add(counting, who, fields[field], value < 6 ? values[value] : NULL, true);
            if (!seen[field][who]) {
                seen[field][who] = true;
                people[field]++;
                cells[field][value < 6 ? value : 0] += value < 6 ? 1 : 0;
            }
        }
        vault_counting_settle(counting, &dropped);
        for (i = 0; i < 3; i++) {
            expected += people[i] >= minimum ? 1 : 0;
        }
        for (left = 0; vault_counting_at(counting, left) != NULL; left++) {
            const struct vault_counted *counted = vault_counting_at(counting, left);
            unsigned field = counted->field[0] == 'b' ? 2 : counted->field[2] == 'y' ? 1 : 0;
            uint64_t sum = counted->other;

            assert_true(counted->other == 0 || counted->other >= minimum);
            for (k = 0; k < counted->count; k++) {
                assert_true(counted->cells[k].people >= minimum);
                assert_int_equal(counted->cells[k].people,
                                 cells[field][counted->cells[k].value[0] - '1']);
                sum += counted->cells[k].people;
            }
            assert_int_equal(sum, people[field]);
        }
        assert_int_equal(left, expected);
        vault_counting_free(counting);
    }
}

static void test_more_statistics_than_there_is_room_for_are_not_counted(void **state)
{
    struct vault_counting *counting = vault_counting_new();
    char field[VAULT_COUNTED_FIELD_BYTES];
    size_t dropped = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 3 * (VAULT_COUNTED_MAX + 5); i++) {
        (void)snprintf(field, sizeof field, "a.f%u", i / 3);
        add(counting, i % 3, field, "1", true);
    }
    vault_counting_settle(counting, &dropped);
    assert_non_null(vault_counting_at(counting, VAULT_COUNTED_MAX - 1));
    assert_null(vault_counting_at(counting, VAULT_COUNTED_MAX));
    vault_counting_free(counting);
    vault_counting_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_cells_are_told_of_only_together),
        cmocka_unit_test(test_one_who_is_different_is_not_told_by_what_is_missing),
        cmocka_unit_test(test_of_too_few_nothing_is_left),
        cmocka_unit_test(test_nobody_counts_twice),
        cmocka_unit_test(test_what_has_too_many_values_keeps_the_largest),
        cmocka_unit_test(test_any_counts_add_up_and_none_is_of_few),
        cmocka_unit_test(test_more_statistics_than_there_is_room_for_are_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
