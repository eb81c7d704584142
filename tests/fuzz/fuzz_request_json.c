/*
 * Bodies of subjects, records and consents: any JSON is taken or refused, within the named limits.
 */
#include "api/input.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

static void check_subject(const struct vault_subject_input *subject)
{
    assert(subject->record_count <= VAULT_RECORDS_CREATE_MAX);
    for (size_t i = 0; i < subject->record_count; i++) {
        const struct vault_record_input *record = &subject->records[i];
        assert(record->type != NULL && record->type[0] != '\0');
        assert(record->field_count <= VAULT_FIELDS_INPUT_MAX);
        for (size_t f = 0; f < record->field_count; f++) {
            assert(record->fields[f].name != NULL && !record->fields[f].remove);
        }
        for (size_t c = 0; c < record->consent_count; c++) {
            assert(record->consents[c].purpose != NULL && record->consents[c].notice != NULL);
        }
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    static const char *const KNOWN[] = {"residency", "records", NULL};
    struct kl_arena *arena = kl_arena_new(16u << 20);
    struct kl_json *json = NULL;
    struct kl_err err = {0};
    struct vault_subject_input subject;
    struct vault_consent_input consent;
    const struct vault_field_input *fields;
    size_t count;

    assert(arena != NULL);
    if (kl_json_parse(bytes, size, &json, &err) == KL_OK) {
        const struct kl_json_value *root = kl_json_root(json);
        if (api_input_subject(root, "", KNOWN, arena, &subject, &err) == KL_OK) {
            check_subject(&subject);
        }
        kl_err_clear(&err);
        if (api_input_consent(root, "", "news", &consent, &err) == KL_OK) {
            assert(consent.notice != NULL && consent.channel != NULL);
        }
        kl_err_clear(&err);
        if (api_input_patch_fields(root, "", arena, &fields, &count, &err) == KL_OK) {
            assert(count <= VAULT_FIELDS_INPUT_MAX);
        }
    }
    kl_json_free(json);
    kl_arena_free(arena);
    return 0;
}
