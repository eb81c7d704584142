/* Values and memory: what runs out is reported, and what is freed holds nothing of the value. */
#include "tests/support/no_memory.h"
#include "tests/vault/value_check.h"

/* Each holds the mark, in the form in which it is looked for in freed memory. */
#define MARK "geheim"
static const struct {
    enum vault_type type;
    const char *text;
} values[] = {
    {VAULT_TYPE_TEXT, "geheim"},
    {VAULT_TYPE_TEXT, "geheime\xcc\x81 tekst\r\n"},
    {VAULT_TYPE_EMAIL, "geheim@b\xc3\xbc"
                       "cher.example"},
    {VAULT_TYPE_EMAIL, "anna@geheim.example"},
    {VAULT_TYPE_JSON, "{\"k\": [\"geheim\", \"\xc3\xa9\"]}"},
};
#define VALUES (sizeof values / sizeof values[0])

static void test_every_allocation_of_a_value_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALUES; i++) {
        const struct vault_value_input input = {value_kind(values[i].type),
                                                kl_slice_text(values[i].text)};
        bool hit = true;
        for (long n = 0; hit; n++) {
            enum kl_status status;
            struct kl_buf out;
            kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
            no_memory_begin(n);
            status = vault_value_normalise(values[i].type, &input, &out, NULL);
            hit = no_memory_end();
            assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
            kl_buf_done(&out);
        }
    }
}

static void test_freed_memory_holds_nothing_of_a_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALUES; i++) {
        const struct vault_value_input input = {value_kind(values[i].type),
                                                kl_slice_text(values[i].text)};
        struct kl_buf out;
        struct kl_buf form;
        kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
        kl_buf_init(&form, VALUE_CHECK_BYTES_MAX);
        freed_watch(MARK);
        assert_int_equal(vault_value_normalise(values[i].type, &input, &out, NULL), KL_OK);
        if (values[i].type != VAULT_TYPE_JSON)
            assert_int_equal(vault_value_index_form(values[i].type,
                                                    kl_slice_of(out.bytes, out.size), &form, NULL),
                             KL_OK);
        kl_buf_done(&form);
        kl_buf_done(&out);
        assert_int_equal(freed_with_it(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_of_a_value_may_fail),
        cmocka_unit_test(test_freed_memory_holds_nothing_of_a_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
