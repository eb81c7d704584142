/* Countries, the EEA, adequacy decisions, cloud regions. */
#include "kluis/base/time.h"
#include "kluis/vault/residency.h"
#include "tests/support/test.h"
#include "vault/residency_internal.h"

#include <string.h>

static struct vault_country country(const char *code)
{
    struct vault_country found = {{0}};

    assert_int_equal(vault_country_parse(code, strlen(code), &found, NULL), KL_OK);
    return found;
}

static int64_t day(const char *text)
{
    int64_t us = 0;

    assert_int_equal(kl_date_parse(text, strlen(text), &us, NULL), KL_OK);
    return us;
}

static void test_249_codes_are_assigned(void **state)
{
    size_t count = 0;

    (void)state;
    for (char first = 'A'; first <= 'Z'; first++)
        for (char second = 'A'; second <= 'Z'; second++) {
            const char code[2] = {first, second};
            struct vault_country found;
            count += vault_country_parse(code, 2, &found, NULL) == KL_OK;
        }
    assert_int_equal(count, 249);
}

static void test_what_is_no_code_is_refused_and_the_result_untouched(void **state)
{
    static const char *const cases[] = {"", "B", "be", "BEL", "XX", "ZZ", "EU", "AN", "B1", "  "};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vault_country found = {"BE"};
        struct kl_err err = {0};
        assert_int_equal(vault_country_parse(cases[i], strlen(cases[i]), &found, &err),
                         KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_country");
        assert_string_equal(found.code, "BE");
    }
}

static void test_el_and_uk_get_a_suggestion(void **state)
{
    struct vault_country found = {{0}};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(vault_country_parse("EL", 2, &found, &err), KL_ERR_INVALID);
    assert_non_null(strstr(err.client_text, "GR"));
    kl_err_clear(&err);
    assert_int_equal(vault_country_parse("UK", 2, &found, &err), KL_ERR_INVALID);
    assert_non_null(strstr(err.client_text, "GB"));
    assert_false(vault_country_is_set(found));
}

static void test_the_eea_is_thirty_states_and_seven_territories(void **state)
{
    static const char inside[][3] = {"AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR",
                                     "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU", "MT", "NL",
                                     "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO",
                                     "AX", "GF", "GP", "MF", "MQ", "RE", "YT"};
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        assert_true(vault_country_in_eea(country(inside[i])));
    for (char first = 'A'; first <= 'Z'; first++)
        for (char second = 'A'; second <= 'Z'; second++)
            count += vault_country_in_eea((struct vault_country){{first, second, '\0'}});
    assert_int_equal(count, sizeof inside / sizeof inside[0]);
}

static void test_neighbours_and_overseas_countries_are_outside(void **state)
{
    static const char *const outside[] = {"CH", "GB", "GI", "GG", "JE", "IM", "FO", "GL",
                                          "AW", "BQ", "CW", "SX", "NC", "PF", "BL", "PM",
                                          "WF", "TF", "SJ", "AD", "MC", "SM", "VA", "US"};

    (void)state;
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        assert_false(vault_country_in_eea(country(outside[i])));
    assert_false(vault_country_in_eea((struct vault_country){{0}}));
}

static void test_decisions_begin_and_end_on_their_days(void **state)
{
    static const struct {
        const char *code;
        const char *decision;
        const char *from;
        const char *last; /* NULL: no end */
    } cases[] = {
        {"CH", "2000/518/EC", "2000-07-26", NULL},
        {"CA", "2002/2/EC", "2001-12-20", NULL},
        {"AR", "2003/490/EC", "2003-06-30", NULL},
        {"GG", "2003/821/EC", "2003-11-21", NULL},
        {"IM", "2004/411/EC", "2004-04-28", NULL},
        {"JE", "2008/393/EC", "2008-05-08", NULL},
        {"FO", "2010/146/EU", "2010-03-05", NULL},
        {"AD", "2010/625/EU", "2010-10-19", NULL},
        {"IL", "2011/61/EU", "2011-01-31", NULL},
        {"UY", "2012/484/EU", "2012-08-21", NULL},
        {"NZ", "2013/65/EU", "2012-12-19", NULL},
        {"JP", "(EU) 2019/419", "2019-01-23", NULL},
        {"GB", "(EU) 2021/1772", "2021-06-28", "2031-12-27"},
        {"KR", "(EU) 2022/254", "2021-12-17", NULL},
        {"US", "(EU) 2023/1795", "2023-07-10", NULL},
        {"BR", "(EU) 2026/179", "2026-01-26", NULL},
    };

    (void)state;
    assert_int_equal(vault_adequacy_count, sizeof cases / sizeof cases[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vault_country of = country(cases[i].code);
        const struct vault_adequacy *found = vault_adequacy_find(of, day(cases[i].from));
        assert_non_null(found);
        assert_string_equal(found->decision, cases[i].decision);
        assert_null(vault_adequacy_find(of, day(cases[i].from) - 1));
        if (cases[i].last == NULL) {
            assert_ptr_equal(vault_adequacy_find(of, day("2999-01-01")), found);
        } else {
            const int64_t end = day(cases[i].last) + INT64_C(86400000000);
            assert_ptr_equal(vault_adequacy_find(of, end - 1), found);
            assert_null(vault_adequacy_find(of, end));
        }
    }
}

static void test_scopes_are_said_and_the_united_states_never_stand_alone(void **state)
{
    static const char *const with_scope[] = {"CA", "IL", "JP", "KR", "US"};
    const int64_t now = day("2026-11-22");
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof with_scope / sizeof with_scope[0]; i++)
        assert_non_null(vault_adequacy_find(country(with_scope[i]), now)->scope);
    for (size_t i = 0; i < vault_adequacy_count; i++) {
        count += vault_adequacy_table[i].scope != NULL;
        assert_int_equal(vault_adequacy_table[i].never_alone,
                         strcmp(vault_adequacy_table[i].country.code, "US") == 0);
        assert_false(vault_country_in_eea(vault_adequacy_table[i].country));
    }
    assert_int_equal(count, sizeof with_scope / sizeof with_scope[0]);
    assert_null(vault_adequacy_find(country("CN"), now));
    assert_null(vault_adequacy_find(country("BE"), now));
    assert_null(vault_adequacy_find((struct vault_country){{0}}, now));
}

static void test_every_region_is_named_once_and_lies_in_a_country(void **state)
{
    (void)state;
    for (size_t i = 0; i < vault_region_count; i++) {
        const struct vault_region *region = &vault_region_table[i];
        struct vault_country found = {{0}};
        assert_int_equal(vault_region_country(region->name, &found, NULL), KL_OK);
        assert_string_equal(found.code, region->country);
        (void)country(region->country);
        assert_true(strncmp(region->name, "aws:", 4) == 0 ||
                    strncmp(region->name, "azure:", 6) == 0 ||
                    strncmp(region->name, "gcp:", 4) == 0);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(region->name, vault_region_table[other].name);
    }
}

static void test_regions_that_people_mix_up(void **state)
{
    static const char *const cases[][2] = {
        {"aws:eu-west-1", "IE"},           {"aws:eu-west-2", "GB"},
        {"aws:eu-central-2", "CH"},        {"aws:eusc-de-east-1", "DE"},
        {"azure:westeurope", "NL"},        {"azure:northeurope", "IE"},
        {"azure:norwayeast", "NO"},        {"azure:uksouth", "GB"},
        {"gcp:europe-west1", "BE"},        {"gcp:europe-west2", "GB"},
        {"gcp:europe-west6", "CH"},        {"gcp:europe-central2", "PL"},
        {"aws:us-east-1", "US"},           {"azure:southeastasia", "SG"},
        {"gcp:northamerica-south1", "MX"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vault_country found;
        assert_int_equal(vault_place_country(cases[i][0], &found, NULL), KL_OK);
        assert_string_equal(found.code, cases[i][1]);
    }
}

static void test_names_of_several_countries_are_no_region(void **state)
{
    (void)state;
    for (const char *const *name = vault_multi_regions; *name != NULL; name++) {
        struct vault_country found = {"BE"};
        struct kl_err err = {0};
        assert_int_equal(vault_region_country(*name, &found, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "unknown_region");
        assert_non_null(strstr(err.client_text, "several countries"));
        assert_string_equal(found.code, "BE");
    }
}

static void test_an_unknown_region_gets_the_nearest_name(void **state)
{
    struct vault_country found = {"BE"};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(vault_place_country("aws:eu-wst-1", &found, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "unknown_region");
    assert_non_null(strstr(err.client_text, "aws:eu-west-1"));
    kl_err_clear(&err);
    assert_int_equal(vault_place_country("mars:olympus", &found, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "unknown_region");
    kl_err_clear(&err);
    assert_int_equal(vault_place_country("Belgium", &found, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_country");
    assert_string_equal(found.code, "BE");
}

static void test_residency_tags_read_back(void **state)
{
    enum vault_residency residency = VAULT_RESIDENCY_NONE;
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(vault_residency_parse("EEA", &residency, NULL), KL_OK);
    assert_int_equal(residency, VAULT_RESIDENCY_EEA);
    assert_int_equal(vault_residency_parse("eea", &residency, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_residency");
    assert_int_equal(residency, VAULT_RESIDENCY_EEA);
    assert_int_equal(vault_residency_parse("none", &residency, NULL), KL_OK);
    assert_int_equal(residency, VAULT_RESIDENCY_NONE);
    assert_string_equal(vault_residency_name(VAULT_RESIDENCY_EEA), "EEA");
    assert_string_equal(vault_residency_name(VAULT_RESIDENCY_NONE), "none");
}

static void test_eea_data_is_placed_in_the_eea_only(void **state)
{
    static const char *const outside[] = {"US", "GB", "CH", "FO"};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(vault_residency_place(VAULT_RESIDENCY_EEA, country("IE"), NULL), KL_OK);
    assert_int_equal(vault_residency_place(VAULT_RESIDENCY_EEA, country("NO"), NULL), KL_OK);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_residency_place(VAULT_RESIDENCY_EEA, country(outside[i]), &err),
                         KL_ERR_FORBIDDEN);
        assert_string_equal(err.code, "residency");
        assert_int_equal(vault_residency_place(VAULT_RESIDENCY_NONE, country(outside[i]), NULL),
                         KL_OK);
    }
    assert_int_equal(vault_residency_place(VAULT_RESIDENCY_EEA, (struct vault_country){{0}}, NULL),
                     KL_ERR_FORBIDDEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_249_codes_are_assigned),
        cmocka_unit_test(test_what_is_no_code_is_refused_and_the_result_untouched),
        cmocka_unit_test(test_el_and_uk_get_a_suggestion),
        cmocka_unit_test(test_the_eea_is_thirty_states_and_seven_territories),
        cmocka_unit_test(test_neighbours_and_overseas_countries_are_outside),
        cmocka_unit_test(test_decisions_begin_and_end_on_their_days),
        cmocka_unit_test(test_scopes_are_said_and_the_united_states_never_stand_alone),
        cmocka_unit_test(test_every_region_is_named_once_and_lies_in_a_country),
        cmocka_unit_test(test_regions_that_people_mix_up),
        cmocka_unit_test(test_names_of_several_countries_are_no_region),
        cmocka_unit_test(test_an_unknown_region_gets_the_nearest_name),
        cmocka_unit_test(test_residency_tags_read_back),
        cmocka_unit_test(test_eea_data_is_placed_in_the_eea_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
