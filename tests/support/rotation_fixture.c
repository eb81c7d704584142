#include "tests/support/rotation_fixture.h"

#include "kluis/base/file.h"
#include "tests/support/kms_adversary.h"
#include "tests/support/kms_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure_note.h"
#include "vault/rotation.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define STEP 97

struct kms_place rotation_place(const struct rotation_lived *lived, uint64_t i)
{
    return (struct kms_place){lived->tenant, lived->first + i * STEP % ROTATION_SLOTS, i % 3};
}

void rotation_shred(struct vault *vault, struct kms_place place)
{
    struct kms_change change = {KMS_CHANGE_SHRED, place};
    struct kms_request request = {.changes = &change,
                                  .changes_count = 1,
                                  .note = vault_note_step,
                                  .note_bytes = VAULT_NOTE_STEP_BYTES};

    assert_int_equal(kms_commit(vault->keys, &request, NULL), KL_OK);
}

void rotation_live(struct admin_fixture *fixture, struct rotation_lived *lived)
{
    struct vault *vault = fixture->vault;

    lived->tenant = vault_tenants_find(vault, "default")->number;
    assert_int_equal(kms_slot_take(vault->keys, lived->tenant, ROTATION_SLOTS, &lived->first, NULL),
                     KL_OK);
    for (uint64_t i = 0; i < ROTATION_SEALED; i++) {
        kms_fixture_seal(vault->keys, rotation_place(lived, i), &lived->sealed[i]);
    }
    for (uint64_t i = 0; i < 2 * ROTATION_SEALED; i++) {
        struct kms_place place = rotation_place(lived, i);

        place.value = 9;
        rotation_shred(vault, place);
    }
}

void rotation_assert_alive(struct admin_fixture *fixture, struct rotation_lived *lived)
{
    for (uint64_t i = 0; i < ROTATION_SEALED; i++) {
        struct kms_place place = rotation_place(lived, i);

        assert_int_equal(kms_fixture_unseal(fixture->vault->keys, place, &lived->sealed[i]), KL_OK);
        place.value = 9;
        assert_int_equal(kms_place_check(fixture->vault->keys, &place, NULL), KL_ERR_GONE);
    }
}

void rotation_lived_done(struct rotation_lived *lived)
{
    for (size_t i = 0; i < ROTATION_SEALED; i++) {
        kl_buf_done(&lived->sealed[i]);
    }
}

static enum kl_status keep(void *visitor, struct kl_slice key, struct kl_slice value,
                           struct kl_err *err)
{
    struct rotation_rows *rows = visitor;

    (void)err;
    memory_storage_put(rows->pages, key, value);
    rows->count++;
    rows->of_tenant +=
        key.bytes[1] != KMS_TREE_STORE && kl_get_u64be(key.bytes + 2) == rows->tenant;
    return KL_OK;
}

struct rotation_rows rotation_rows_now(struct admin_fixture *fixture, uint64_t tenant)
{
    struct rotation_rows rows = {.pages = memory_storage_new(), .tenant = tenant};
    const struct kms_storage *storage = &fixture->vault->key_storage;

    assert_int_equal(storage->range(storage->context, kl_slice_text("P"), keep, &rows, NULL),
                     KL_OK);
    return rows;
}

size_t rotation_rows_as_before(struct rotation_rows *before, struct rotation_rows *now, bool all)
{
    const struct kms_storage *storage = memory_storage_face(now->pages);
    struct kl_slice key;
    size_t value_bytes = 0;
    size_t same = 0;
    const unsigned char *value;

    for (size_t i = 0; (value = memory_storage_row(before->pages, i, &key, &value_bytes)) != NULL;
         i++) {
        struct kl_buf row;

        kl_buf_init(&row, 16384);
        if ((all ||
             (key.bytes[1] != KMS_TREE_STORE && kl_get_u64be(key.bytes + 2) == before->tenant)) &&
            storage->get(storage->context, key, &row, NULL) == KL_OK && row.size == value_bytes &&
            memcmp(row.bytes, value, value_bytes) == 0) {
            same++;
        }
        kl_buf_done(&row);
    }
    return same;
}

size_t rotation_pages_that_open(struct admin_fixture *fixture, struct rotation_rows *before,
                                struct rotation_rows *now)
{
    struct kms_adversary *adversary = kms_adversary_new(fixture->vault->store_id);
    struct kl_buf root;
    size_t opened;

    assert_int_equal(kl_file_read(fixture->root_file, 16384, &root, NULL), KL_OK);
    kms_adversary_give_rows(adversary, before->pages, false);
    kms_adversary_give_rows(adversary, now->pages, false);
    kms_adversary_give_root_file(adversary, root.bytes);
    opened = kms_adversary_search(adversary);
    kms_adversary_free(adversary);
    kl_buf_done(&root);
    return opened;
}

struct kl_json *rotation_parsed(const struct kl_buf *text)
{
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(text->bytes, text->size, &json, NULL), KL_OK);
    return json;
}

static const struct kl_json_value *rotation_in(const struct kl_json *json, const char *key)
{
    return kl_json_member(kl_json_root(json), key);
}

int64_t rotation_number(const struct kl_json *json, const char *key)
{
    int64_t number = -1;

    assert_true(kl_json_int(rotation_in(json, key), &number));
    return number;
}

double rotation_progress(const struct kl_json *json)
{
    size_t bytes = 0;
    const char *text = kl_json_number_text(rotation_in(json, "progress"), &bytes);

    assert_non_null(text);
    return strtod(text, NULL);
}

struct vault_caller rotation_operator(struct admin_fixture *fixture, const char *tenant)
{
    return admin_caller(fixture, &fixture->operator_token, tenant);
}

struct kl_id rotation_ask(struct admin_fixture *fixture, const char *level, uint32_t rate)
{
    struct vault_caller caller =
        rotation_operator(fixture, strcmp(level, "tenant") == 0 ? "default" : NULL);
    struct kl_json *json;
    struct kl_buf text;
    struct kl_id id;

    kl_buf_init(&text, ROTATION_TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, level, rate, false, NULL, &text, NULL, NULL),
        KL_OK);
    json = rotation_parsed(&text);
    assert_string_equal(kl_json_text(rotation_in(json, "level")), level);
    assert_int_equal(
        kl_id_parse(VAULT_ROTATION_PREFIX, kl_json_text(rotation_in(json, "id")), &id, NULL),
        KL_OK);
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return id;
}

struct kl_json *rotation_look(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct vault_caller caller = rotation_operator(fixture, NULL);
    struct kl_json *json;
    struct kl_buf text;

    kl_buf_init(&text, ROTATION_TEXT_BYTES);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, id, &text, NULL), KL_OK);
    json = rotation_parsed(&text);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return json;
}

void rotation_assert_running(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct kl_json *json = rotation_look(fixture, id);

    assert_string_equal(kl_json_text(rotation_in(json, "state")), "running");
    assert_false(kl_json_bool(rotation_in(json, "old_key_out_of_use")));
    assert_int_equal(kl_json_type(rotation_in(json, "to_generation")), KL_JSON_NULL);
    kl_json_free(json);
}

void rotation_assert_done(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct kl_json *json = rotation_look(fixture, id);
    struct kms_state now;

    kms_state(fixture->vault->keys, &now);
    assert_string_equal(kl_json_text(rotation_in(json, "state")), "done");
    assert_true(kl_json_bool(rotation_in(json, "old_key_out_of_use")));
    assert_true(rotation_number(json, "to_generation") > rotation_number(json, "from_generation"));
    assert_true((uint64_t)rotation_number(json, "to_generation") <= now.generation);
    assert_true(rotation_progress(json) >= 1.0);
    kl_json_free(json);
}

void rotation_run(struct admin_fixture *fixture)
{
    struct kl_err err = {0};

    if (vault_upkeep_run(fixture->vault, &err) != KL_OK) {
        fail_msg("%s: %s", err.code, err.log_text);
    }
}
