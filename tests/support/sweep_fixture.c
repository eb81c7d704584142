#include "tests/support/sweep_fixture.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "vault/index.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <string.h>

void sweep_rectify(struct vault_fixture *fixture, const struct vault_subject_result *of,
                   const char *name, const char *text)
{
    struct vault_caller caller = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field(name, text);
    uint64_t version = 0;

    assert_int_equal(vault_record_patch(fixture_vault(fixture), &caller, &of->id,
                                        &of->records[0].id, 0, &field, 1, &version, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
}

enum kl_status sweep_ask(struct vault_fixture *fixture, struct vault_caller caller,
                         int64_t changes_per_second, struct kl_id *ret_id)
{
    const struct vault_sweep_input input = {.changes_per_second = changes_per_second};
    struct kl_json *json = NULL;
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, SWEEP_TEXT_BYTES);
    kl_err_clear(&fixture->err);
    status = vault_sweep_start(fixture_vault(fixture), &caller, &input, NULL, &text, NULL,
                               &fixture->err);
    if (status == KL_OK) {
        assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
        assert_int_equal(kl_id_parse(VAULT_SWEEP_PREFIX,
                                     kl_json_text(kl_json_member(kl_json_root(json), "id")), ret_id,
                                     NULL),
                         KL_OK);
        assert_string_equal(kl_json_text(kl_json_member(kl_json_root(json), "state")), "running");
        kl_json_free(json);
    }
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return status;
}

int64_t sweep_shown(struct vault_fixture *fixture, const struct kl_id *id, const char *key)
{
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_json *json = NULL;
    struct kl_buf text;
    int64_t number = -1;

    kl_buf_init(&text, SWEEP_TEXT_BYTES);
    assert_int_equal(vault_sweep_show(fixture_vault(fixture), &caller, id, &text, NULL), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    if (strcmp(key, "done") == 0) {
        number = strcmp(kl_json_text(kl_json_member(kl_json_root(json), "state")), "done") == 0;
    } else {
        assert_true(kl_json_int(kl_json_member(kl_json_root(json), key), &number));
    }
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return number;
}

struct kl_id sweep_run(struct vault_fixture *fixture)
{
    struct kl_id id = {{0}};
    struct kl_err err = {0};

    assert_int_equal(sweep_ask(fixture, admin_operator(fixture->admin), 0, &id), KL_OK);
    if (vault_upkeep_run(fixture_vault(fixture), &err) != KL_OK) {
        fail_msg("the sweep does not end: %s %s", err.code, err.log_text);
    }
    assert_int_equal(sweep_shown(fixture, &id, "done"), 1);
    return id;
}

size_t sweep_places(struct vault_fixture *fixture, char kind, struct kms_place *ret)
{
    struct vault *vault = fixture_vault(fixture);
    uint64_t tenant = fixture_tenant(fixture);
    struct vault_row_key prefix =
        kind == 'O' ? vault_row_old(tenant, 0, 0, 0) : vault_row_value(tenant, 0, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    prefix.size = 9;
    past = vault_row_past(&prefix);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&prefix), vault_row_slice(&past), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &row)) {
        assert_true(count < SWEEP_SLOTS_MAX);
        ret[count++] = (struct kms_place){tenant, kl_get_u64be(key.bytes + key.size - 16),
                                          kl_get_u64be(key.bytes + key.size - 8)};
    }
    vault_iter_free(iter);
    return count;
}

size_t sweep_rows(struct vault_fixture *fixture, char kind)
{
    static struct kms_place places[SWEEP_SLOTS_MAX];

    return sweep_places(fixture, kind, places);
}

bool sweep_is_gone(struct vault_fixture *fixture, const struct kms_place *place)
{
    return kms_place_check(fixture_vault(fixture)->keys, place, NULL) == KL_ERR_GONE;
}

size_t sweep_index_slots(struct vault_fixture *fixture, struct kms_place *ret)
{
    struct vault *vault = fixture_vault(fixture);
    uint64_t tenant = fixture_tenant(fixture);
    struct vault_index_epochs epochs = {0};
    struct vault_row_key first;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    assert_int_equal(vault_index_epochs(vault->index, tenant, &epochs, NULL), KL_OK);
    ret[count++] = (struct kms_place){tenant, epochs.address_slot, KMS_VALUE_NONE};
    first = vault_row_bucket(tenant, epochs.epoch, 0, 0, 0, 0);
    first.size = 13;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &row)) {
        if (key.bytes[key.size - 1] == 0 && kl_get_u64be(row.bytes) != 0) {
            assert_true(count < SWEEP_SLOTS_MAX);
            ret[count++] = (struct kms_place){tenant, kl_get_u64be(row.bytes), KMS_VALUE_NONE};
        }
    }
    vault_iter_free(iter);
    return count;
}
