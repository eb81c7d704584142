/* Pieces of a breach report joined. */
#include "cli/breach_join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROW(field, times, first, last)                                                  \
    "{\"action\":\"read\",\"field\":\"" field "\",\"view\":\"plain\",\"purpose\":null," \
    "\"special\":null,\"category\":\"contact\",\"people\":1,\"times\":" times           \
    ",\"first_at\":\"" first "\",\"last_at\":\"" last "\"}"
#define PERSON(slot, subject, marks, records)                                              \
    "{\"slot\":" slot ",\"subject\":" subject ",\"state\":\"present\",\"accessed\":" marks \
    ",\"changed\":[],\"transfers\":[],\"records\":" records                                \
    ",\"times\":1,\"first_at\":\"b\",\"last_at\":\"c\"}"
#define PIECE(rows, people)                                                                    \
    "{\"credential\":{\"id\":\"cred_x\"},\"from\":\"a\",\"to\":\"z\",\"entries\":{\"from\":3," \
    "\"to\":9,\"of_credential\":2,\"lost\":1},\"accessed\":[" rows "],\"changed\":[],"         \
    "\"transfers\":[],\"subjects\":[" people "]}"

static enum kl_status add(struct cli_breach *breach, const char *text, struct kl_err *err)
{
    struct kl_json *piece = NULL;

    assert_int_equal(kl_json_parse(text, strlen(text), &piece, NULL), KL_OK);
    return cli_breach_add(breach, piece, err);
}

static void test_a_person_of_two_pieces_is_one(void **state)
{
    struct cli_breach breach = {.head = NULL};
    const struct cli_breach_rows *rows = &breach.lists[CLI_BREACH_ACCESSED];

    (void)state;
    assert_int_equal(add(&breach,
                         PIECE(ROW("f.name", "2", "b", "c") "," ROW("f.mail", "1", "b", "b"),
                               PERSON("7", "null", "[0,1]", "[1,2]")),
                         NULL),
                     KL_OK);
    assert_int_equal(
        add(&breach,
            PIECE(ROW("f.mail", "4", "a", "d"), PERSON("7", "\"sub_7\"", "[0]", "[2,3]") "," PERSON(
                                                    "8", "\"sub_8\"", "[0]", "[1]")),
            NULL),
        KL_OK);
    assert_int_equal(breach.people_count, 2);
    assert_string_equal(breach.people[0]->subject, "sub_7");
    assert_int_equal(breach.people[0]->records.count, 3);
    assert_int_equal(breach.people[0]->marks[CLI_BREACH_ACCESSED].count, 2);
    assert_int_equal(breach.people[0]->times, 2);
    assert_int_equal(rows->count, 2);
    assert_int_equal(rows->items[0].people, 1);
    assert_int_equal(rows->items[1].people, 2);
    assert_int_equal(rows->items[1].times, 5);
    assert_string_equal(rows->items[1].first, "a");
    assert_string_equal(rows->items[1].last, "d");
    assert_int_equal(breach.of_credential, 4);
    assert_int_equal(breach.lost, 2);
    cli_breach_done(&breach);
}

static void test_many_people_are_told_apart(void **state)
{
    struct cli_breach breach = {.head = NULL};
    char text[2048];
    int i;

    (void)state;
    for (i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof text,
                       "{\"accessed\":[" ROW("f.name", "1", "b",
                                             "c") "],\"subjects\":[{\"slot\":%d,"
                                                  "\"state\":\"erased\",\"accessed\":[0]}]}",
                       i * 7 % 100);
        assert_int_equal(add(&breach, text, NULL), KL_OK);
    }
    assert_int_equal(breach.people_count, 100);
    assert_int_equal(breach.lists[CLI_BREACH_ACCESSED].count, 1);
    assert_int_equal(breach.lists[CLI_BREACH_ACCESSED].items[0].people, 100);
    assert_int_equal(breach.lists[CLI_BREACH_ACCESSED].items[0].times, 300);
    cli_breach_done(&breach);
}

static void test_a_place_that_is_not_there_is_refused(void **state)
{
    struct cli_breach breach = {.head = NULL};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(
        add(&breach, PIECE(ROW("f.name", "1", "b", "c"), PERSON("7", "null", "[1]", "[]")), &err),
        KL_ERR_INVALID);
    assert_string_equal(err.code, "unexpected_answer");
    cli_breach_done(&breach);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_person_of_two_pieces_is_one),
        cmocka_unit_test(test_many_people_are_told_apart),
        cmocka_unit_test(test_a_place_that_is_not_there_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
