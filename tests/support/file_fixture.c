#include "tests/support/file_fixture.h"

#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 10000 /* no divisor of a chunk */

static const char policy_text[] =
    "policy: papers\n"
    "version: 1\n"
    "controller: { name: Press BV, country: BE, contact: privacy@press.example }\n"
    "residency: { default: EEA, transfers: [] }\n"
    "records:\n"
    "  paper:\n"
    "    fields:\n"
    "      title: { type: text }\n"
    "      scan:  { type: file }\n"
    "      photo: { type: file }\n"
    "    purposes: [service]\n"
    "recipients:\n"
    "  printer: { kind: processor, country: BE, purposes: [service] }\n"
    "purposes:\n"
    "  service: { basis: contract }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  reader:\n"
    "    - { do: [read], fields: [\"*\"], for: [service] }\n"
    "  masked:\n"
    "    - { do: [read], fields: [\"*\"], for: [service], view: masked }\n"
    "  counted:\n"
    "    - { do: [read], fields: [\"*\"], for: [service], when: { volume_per_hour: 2 } }\n"
    "  clerk:\n"
    "    - { do: [read], fields: [paper.title], for: [service] }\n"
    "  title_writer:\n"
    "    - { do: [write], fields: [paper.title] }\n"
    "  dpo:\n"
    "    - { do: [erase], fields: [\"*\"] }\n"
    "    - { do: [report], fields: [\"*\"], for: [service] }\n"
    "    - { do: [restrict] }\n";

int file_fixture_setup(void **state)
{
    struct vault_fixture *fixture = NULL;

    assert_int_equal(vault_fixture_setup(state), 0);
    fixture = *state;
    (void)admin_apply(fixture->admin, policy_text);
    return 0;
}

unsigned char *file_bytes(unsigned seed, size_t count)
{
    unsigned char *bytes = malloc(count + 1);
    uint32_t number = seed * 2654435761u + 1;
    size_t i;

    assert_non_null(bytes);
    for (i = 0; i < count; i++) {
        number = number * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(number >> 24);
    }
    return bytes;
}

struct vault_subject_result file_person(struct vault_fixture *fixture)
{
    struct vault_field_input field = fixture_field("title", "A paper");
    struct vault_record_input record = {.type = "paper", .fields = &field, .field_count = 1};
    struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_idempotency none = {0};
    struct vault_subject_result result = {0};
    struct vault_caller caller = fixture_caller(fixture, "writer");

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &caller, &input, &none,
                                          fixture->arena, &result, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    return result;
}

enum kl_status file_begin(struct vault_fixture *fixture, const struct vault_caller *caller,
                          const struct vault_subject_result *of, const char *field, size_t size,
                          struct vault_upload **ret)
{
    struct vault_upload_input input = {.subject = of->id,
                                       .record = of->records[0].id,
                                       .field = field,
                                       .media_type = "application/pdf",
                                       .bytes = size};

    kl_err_clear(&fixture->err);
    return vault_upload_begin(fixture_vault(fixture), caller, &input, ret, &fixture->err);
}

enum kl_status file_put(struct vault_fixture *fixture, const char *role,
                        const struct vault_subject_result *of, const char *field, const void *bytes,
                        size_t size)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_upload *upload = NULL;
    uint64_t version = 0;
    size_t at = 0;
    enum kl_status status = file_begin(fixture, &caller, of, field, size, &upload);

    while (status == KL_OK && at < size) {
        size_t step = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;

        status = vault_upload_write(upload, (const unsigned char *)bytes + at, step, &fixture->err);
        at += step;
    }
    if (status == KL_OK) {
        status = vault_upload_finish(upload, &version, NULL, &fixture->err);
    }
    vault_upload_free(upload);
    vault_caller_done(&caller);
    return status;
}

enum kl_status file_get(struct vault_fixture *fixture, const char *role,
                        const struct vault_subject_result *of, const char *field,
                        struct kl_buf *ret)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_read_input input = {
        .subject = of->id, .record = &of->records[0].id, .purpose = "service"};
    struct vault_download *download = NULL;
    struct vault_file_info info = {0};
    struct kl_slice piece = {0};
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_download_open(fixture_vault(fixture), &caller, &input, field, fixture->arena,
                                 &download, &info, &fixture->err);
    do {
        if (status == KL_OK) {
            status = vault_download_next(download, &piece, &fixture->err);
        }
        if (status == KL_OK) {
            kl_buf_add(ret, piece.bytes, piece.size);
        }
    } while (status == KL_OK && piece.size > 0);
    vault_download_free(download);
    vault_caller_done(&caller);
    return status;
}

void file_assert_is(struct vault_fixture *fixture, const struct vault_subject_result *of,
                    const char *field, const void *bytes, size_t size)
{
    struct kl_buf got;

    kl_buf_init(&got, 64 * 1024 * 1024);
    assert_int_equal(file_get(fixture, "reader", of, field, &got), KL_OK);
    assert_int_equal(got.size, size);
    if (size > 0) {
        assert_memory_equal(got.bytes, bytes, size);
    }
    kl_buf_done(&got);
}

struct vault_file_place file_place(struct vault_fixture *fixture,
                                   const struct vault_subject_result *of, uint64_t value)
{
    struct vault_file_place place = {
        .of = {fixture_tenant(fixture), fixture_slot(fixture, &of->id), value}};

    assert_int_equal(vault_file_find(fixture_vault(fixture)->data_store, &place, &fixture->err),
                     KL_OK);
    return place;
}

struct vault_file_place file_last(struct vault_fixture *fixture,
                                  const struct vault_subject_result *of)
{
    struct vault_row_key first =
        vault_row_file(fixture_tenant(fixture), fixture_slot(fixture, &of->id), 0);
    struct vault_row_key prefix = first;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    uint64_t value = 0;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    iter = vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&first),
                          vault_row_slice(&past), true);
    assert_non_null(iter);
    assert_true(vault_iter_next(iter, &key, &row));
    value = kl_get_u64be(key.bytes + key.size - 8);
    vault_iter_free(iter);
    return file_place(fixture, of, value);
}

void file_path_of(struct vault_fixture *fixture, const struct vault_file_place *place,
                  char ret[ADMIN_PATH_BYTES])
{
    char name[VAULT_FILE_NAME_BYTES];

    vault_file_name(place, name);
    assert_true(snprintf(ret, ADMIN_PATH_BYTES, "%s/files/%02x/%s", fixture->admin->data,
                         (unsigned)(place->of.slot % 256), name) < ADMIN_PATH_BYTES);
}

static size_t count_in(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    size_t count = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

size_t file_count(struct vault_fixture *fixture)
{
    char path[ADMIN_PATH_BYTES + 16];
    size_t count = 0;
    unsigned i;

    for (i = 0; i < 256; i++) {
        (void)snprintf(path, sizeof path, "%s/files/%02x", fixture->admin->data, i);
        count += count_in(path);
    }
    return count;
}
