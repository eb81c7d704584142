#include "api/input.h"
#include "kluis/base/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void api_input_place(char ret_place[KL_ERR_WHERE_BYTES], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret_place, KL_ERR_WHERE_BYTES, format, arguments);
    va_end(arguments);
}

static enum kl_status fail_at(struct kl_err *err, const char *where, const char *key,
                              const char *code, const char *text)
{
    enum kl_status status = kl_fail(err, KL_ERR_INVALID, code, text, NULL);

    kl_err_where(err, "%s/%s", where, key);
    return status;
}

/* The member of that type; *ret is NULL when it is absent and not required. */
static enum kl_status member(const struct kl_json_value *object, const char *key, const char *where,
                             enum kl_json_type type, bool required,
                             const struct kl_json_value **ret, struct kl_err *err)
{
    static const char *const TEXTS[] = {[KL_JSON_BOOL] = "this must be true or false",
                                        [KL_JSON_NUMBER] = "this must be a number",
                                        [KL_JSON_TEXT] = "this must be a string",
                                        [KL_JSON_ARRAY] = "this must be an array",
                                        [KL_JSON_OBJECT] = "this must be an object"};
    const struct kl_json_value *value = kl_json_member(object, key);
    enum kl_json_type found = kl_json_type(value);

    if (found == KL_JSON_ABSENT) {
        if (required) {
            return fail_at(err, where, key, "missing_key", "this member is needed");
        }
        *ret = NULL;
        return KL_OK;
    }
    if (found != type) {
        return fail_at(err, where, key, "invalid_type", TEXTS[type]);
    }
    *ret = value;
    return KL_OK;
}

enum kl_status api_input_text(const struct kl_json_value *object, const char *key,
                              const char *where, bool required, const char **ret_text,
                              struct kl_err *err)
{
    const struct kl_json_value *value = NULL;
    enum kl_status status = member(object, key, where, KL_JSON_TEXT, required, &value, err);

    if (status != KL_OK) {
        return status;
    }
    if (value != NULL && kl_json_text_bytes(value) == 0) {
        return fail_at(err, where, key, "empty_value", "this must not be empty");
    }
    *ret_text = kl_json_text(value);
    return KL_OK;
}

enum kl_status api_input_bool(const struct kl_json_value *object, const char *key,
                              const char *where, bool *ret_value, struct kl_err *err)
{
    const struct kl_json_value *value = NULL;
    enum kl_status status = member(object, key, where, KL_JSON_BOOL, false, &value, err);

    if (status == KL_OK) {
        *ret_value = kl_json_bool(value);
    }
    return status;
}

enum kl_status api_input_time(const struct kl_json_value *object, const char *key,
                              const char *where, int64_t *ret_time_us, struct kl_err *err)
{
    const char *text = NULL;
    int64_t time_us = 0;
    enum kl_status status = api_input_text(object, key, where, false, &text, err);

    if (status == KL_OK && text != NULL) {
        status = kl_time_parse(text, strlen(text), &time_us, err);
        if (status != KL_OK) {
            kl_err_where(err, "%s/%s", where, key);
        }
    }
    if (status == KL_OK) {
        *ret_time_us = time_us;
    }
    return status;
}

enum kl_status api_input_int(const struct kl_json_value *object, const char *key, const char *where,
                             int64_t minimum, int64_t maximum, int64_t fallback,
                             int64_t *ret_number, struct kl_err *err)
{
    const struct kl_json_value *value = NULL;
    int64_t number = fallback;
    enum kl_status status = member(object, key, where, KL_JSON_NUMBER, false, &value, err);

    if (status != KL_OK) {
        return status;
    }
    if (value != NULL && (!kl_json_int(value, &number) || number < minimum || number > maximum)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_value",
                          "this is a whole number from %lld to %lld", (long long)minimum,
                          (long long)maximum);
        kl_err_where(err, "%s/%s", where, key);
        return status;
    }
    *ret_number = number;
    return KL_OK;
}

enum kl_status api_input_id(const struct kl_json_value *object, const char *key, const char *where,
                            const char *prefix, bool required, struct kl_arena *arena,
                            const struct kl_id **ret_id, struct kl_err *err)
{
    const char *text = NULL;
    struct kl_id *id = NULL;
    enum kl_status status = api_input_text(object, key, where, required, &text, err);

    if (status == KL_OK && text != NULL) {
        id = kl_arena_alloc(arena, sizeof *id);
        status = id == NULL ? kl_fail_memory(err) : kl_id_parse(prefix, text, id, err);
        if (status != KL_OK) {
            kl_err_where(err, "%s/%s", where, key);
        }
    }
    if (status == KL_OK) {
        *ret_id = id;
    }
    return status;
}

static enum kl_status too_many(struct kl_err *err, const char *where, const char *code, size_t max)
{
    enum kl_status status =
        kl_failf(err, KL_ERR_TOO_LARGE, code, "there can be at most %zu of them here", max);

    kl_err_where(err, "%s", where);
    return status;
}

enum kl_status api_input_names(const struct kl_json_value *object, const char *key,
                               const char *where, size_t max, struct kl_arena *arena,
                               const char *const **ret_names, size_t *ret_count, struct kl_err *err)
{
    const struct kl_json_value *array = NULL;
    const struct kl_json_value *item;
    const char **names;
    size_t count = 0;
    enum kl_status status = member(object, key, where, KL_JSON_ARRAY, false, &array, err);

    if (status != KL_OK) {
        return status;
    }
    if (array == NULL) {
        *ret_names = NULL;
        *ret_count = 0;
        return KL_OK;
    }
    if (kl_json_count(array) > max) {
        return fail_at(err, where, key, "too_many_items", "there are too many items");
    }
    names = kl_arena_array(arena, kl_json_count(array), sizeof *names);
    if (names == NULL) {
        return kl_fail_memory(err);
    }
    struct kl_json_iter iter = kl_json_iter(array);
    while (kl_json_next(&iter, NULL, &item)) {
        names[count] = kl_json_text(item);
        if (names[count] == NULL) {
            return fail_at(err, where, key, "invalid_type", "this must be an array of strings");
        }
        count++;
    }
    *ret_names = names;
    *ret_count = count;
    return KL_OK;
}

enum kl_status api_input_list(const char *text, size_t max, struct kl_arena *arena,
                              const char *const **ret_names, size_t *ret_count, struct kl_err *err)
{
    const char **names;
    size_t count = 0;

    if (text == NULL) {
        *ret_names = NULL;
        *ret_count = 0;
        return KL_OK;
    }
    for (const char *at = text; at != NULL; at = strchr(at, ','), at = at == NULL ? NULL : at + 1) {
        count++;
    }
    if (count > max) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_items",
                        "a list in the query has at most %zu names", max);
    }
    names = kl_arena_array(arena, count, sizeof *names);
    if (names == NULL) {
        return kl_fail_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(text, ",");
        if (size == 0) {
            return kl_fail(err, KL_ERR_INVALID, "invalid_parameter",
                           "a list in the query has an empty name", NULL);
        }
        names[i] = kl_arena_text(arena, text, size);
        if (names[i] == NULL) {
            return kl_fail_memory(err);
        }
        text += size + (text[size] == ',');
    }
    *ret_names = names;
    *ret_count = count;
    return KL_OK;
}

/* ---- values, fields, consents, records ---- */

enum kl_status api_input_value(const struct kl_json_value *value, struct kl_arena *arena,
                               struct vault_value_input *ret_value, struct kl_err *err)
{
    struct vault_value_input input = {.kind = kl_json_type(value)};
    struct kl_buf json = {0};
    enum kl_status status = KL_OK;
    size_t size = 0;
    const char *text;

    switch (input.kind) {
    case KL_JSON_TEXT:
        input.text = kl_slice_of(kl_json_text(value), kl_json_text_bytes(value));
        break;
    case KL_JSON_NUMBER:
        text = kl_json_number_text(value, &size);
        input.text = kl_slice_of(text, size);
        break;
    case KL_JSON_BOOL:
        input.text = kl_slice_text(kl_json_bool(value) ? "true" : "false");
        break;
    case KL_JSON_ARRAY:
    case KL_JSON_OBJECT:
        kl_buf_init(&json, API_INPUT_JSON_MAX_BYTES);
        kl_json_write_value(&json, value);
        status = kl_buf_status(&json, err);
        text = status == KL_OK ? kl_arena_text(arena, json.bytes, json.size) : NULL;
        input.text = kl_slice_of(text, json.size);
        kl_buf_done(&json);
        if (status == KL_OK && text == NULL) {
            status = kl_fail_memory(err);
        }
        break;
    case KL_JSON_NULL:
    case KL_JSON_ABSENT:
        break;
    }
    if (status == KL_OK) {
        *ret_value = input;
    }
    return status;
}

enum kl_status api_input_fields(const struct kl_json_value *object, const char *where,
                                bool may_remove, struct kl_arena *arena,
                                const struct vault_field_input **ret_fields, size_t *ret_count,
                                struct kl_err *err)
{
    const struct kl_json_value *value;
    struct vault_field_input *fields;
    const char *name;
    size_t count = 0;

    if (kl_json_count(object) > VAULT_FIELDS_INPUT_MAX) {
        return too_many(err, where, "too_many_fields", VAULT_FIELDS_INPUT_MAX);
    }
    fields = kl_arena_array(arena, kl_json_count(object) + 1, sizeof *fields);
    if (fields == NULL) {
        return kl_fail_memory(err);
    }
    struct kl_json_iter iter = kl_json_iter(object);
    while (kl_json_next(&iter, &name, &value)) {
        struct vault_field_input *field = &fields[count++];
        field->name = name;
        field->remove = kl_json_type(value) == KL_JSON_NULL;
        if (field->remove && !may_remove) {
            return fail_at(err, where, name, "invalid_type",
                           "null has no meaning here: leave the field out");
        }
        enum kl_status status = api_input_value(value, arena, &field->value, err);
        if (status != KL_OK) {
            kl_err_where(err, "%s/%s", where, name);
            return status;
        }
    }
    *ret_fields = fields;
    *ret_count = count;
    return KL_OK;
}

enum kl_status api_input_patch_fields(const struct kl_json_value *object, const char *where,
                                      struct kl_arena *arena,
                                      const struct vault_field_input **ret_fields,
                                      size_t *ret_count, struct kl_err *err)
{
    const struct kl_json_value *fields = NULL;
    char place[KL_ERR_WHERE_BYTES];
    enum kl_status status = member(object, "fields", where, KL_JSON_OBJECT, true, &fields, err);

    if (status != KL_OK) {
        return status;
    }
    api_input_place(place, "%s/fields", where);
    return api_input_fields(fields, place, true, arena, ret_fields, ret_count, err);
}

enum kl_status api_input_consent(const struct kl_json_value *object, const char *where,
                                 const char *path_purpose, struct vault_consent_input *ret_consent,
                                 struct kl_err *err)
{
    static const char *const KNOWN[] = {"notice",    "channel",  "evidence", "at", "expires",
                                        "recipient", "explicit", "purpose",  NULL};
    struct vault_consent_input consent = {.purpose = path_purpose};
    const char *known[sizeof KNOWN / sizeof KNOWN[0]];
    enum kl_status status;

    memcpy(known, KNOWN, sizeof KNOWN);
    if (path_purpose != NULL) {
        known[sizeof KNOWN / sizeof KNOWN[0] - 2] = NULL;
    }
    status = kl_json_expect(object, known, where, err);
    if (status == KL_OK && path_purpose == NULL) {
        status = api_input_text(object, "purpose", where, true, &consent.purpose, err);
    }
    if (status != KL_OK ||
        (status = api_input_text(object, "notice", where, true, &consent.notice, err)) != KL_OK ||
        (status = api_input_text(object, "channel", where, true, &consent.channel, err)) != KL_OK ||
        (status = api_input_text(object, "evidence", where, false, &consent.evidence, err)) !=
            KL_OK ||
        (status = api_input_text(object, "recipient", where, false, &consent.recipient, err)) !=
            KL_OK ||
        (status = api_input_time(object, "at", where, &consent.at_us, err)) != KL_OK ||
        (status = api_input_time(object, "expires", where, &consent.expires_us, err)) != KL_OK ||
        (status = api_input_bool(object, "explicit", where, &consent.is_explicit, err)) != KL_OK) {
        return status;
    }
    *ret_consent = consent;
    return KL_OK;
}

static enum kl_status record_consents(const struct kl_json_value *array, const char *where,
                                      struct kl_arena *arena, struct vault_record_input *record,
                                      struct kl_err *err)
{
    const struct kl_json_value *item;
    struct vault_consent_input *consents;
    char place[KL_ERR_WHERE_BYTES];

    if (kl_json_count(array) > VAULT_PURPOSES_MAX) {
        return too_many(err, where, "too_many_consents", VAULT_PURPOSES_MAX);
    }
    consents = kl_arena_array(arena, kl_json_count(array) + 1, sizeof *consents);
    if (consents == NULL) {
        return kl_fail_memory(err);
    }
    record->consents = consents;
    struct kl_json_iter iter = kl_json_iter(array);
    while (kl_json_next(&iter, NULL, &item)) {
        api_input_place(place, "%s/%zu", where, record->consent_count);
        enum kl_status status =
            api_input_consent(item, place, NULL, &consents[record->consent_count++], err);
        if (status != KL_OK) {
            return status;
        }
    }
    return KL_OK;
}

enum kl_status api_input_record(const struct kl_json_value *object, const char *where,
                                struct kl_arena *arena, struct vault_record_input *ret_record,
                                struct kl_err *err)
{
    static const char *const KNOWN[] = {"type", "source", "fields", "consents", NULL};
    const struct kl_json_value *fields = NULL;
    const struct kl_json_value *consents = NULL;
    struct vault_record_input record = {0};
    char place[KL_ERR_WHERE_BYTES];
    enum kl_status status = kl_json_expect(object, KNOWN, where, err);

    if (status != KL_OK ||
        (status = api_input_text(object, "type", where, true, &record.type, err)) != KL_OK ||
        (status = api_input_text(object, "source", where, false, &record.source, err)) != KL_OK ||
        (status = member(object, "fields", where, KL_JSON_OBJECT, true, &fields, err)) != KL_OK ||
        (status = member(object, "consents", where, KL_JSON_ARRAY, false, &consents, err)) !=
            KL_OK) {
        return status;
    }
    api_input_place(place, "%s/fields", where);
    status =
        api_input_fields(fields, place, false, arena, &record.fields, &record.field_count, err);
    if (status == KL_OK && consents != NULL) {
        api_input_place(place, "%s/consents", where);
        status = record_consents(consents, place, arena, &record, err);
    }
    if (status == KL_OK) {
        *ret_record = record;
    }
    return status;
}

enum kl_status api_input_subject(const struct kl_json_value *object, const char *where,
                                 const char *const *known, struct kl_arena *arena,
                                 struct vault_subject_input *ret_subject, struct kl_err *err)
{
    const struct kl_json_value *array = NULL;
    const struct kl_json_value *item;
    struct vault_subject_input subject = {0};
    struct vault_record_input *records;
    char place[KL_ERR_WHERE_BYTES];
    enum kl_status status = kl_json_expect(object, known, where, err);

    if (status != KL_OK ||
        (status = api_input_text(object, "residency", where, false, &subject.residency, err)) !=
            KL_OK ||
        (status = member(object, "records", where, KL_JSON_ARRAY, true, &array, err)) != KL_OK) {
        return status;
    }
    if (kl_json_count(array) > VAULT_RECORDS_CREATE_MAX) {
        api_input_place(place, "%s/records", where);
        return too_many(err, place, "too_many_records", VAULT_RECORDS_CREATE_MAX);
    }
    records = kl_arena_array(arena, kl_json_count(array) + 1, sizeof *records);
    if (records == NULL) {
        return kl_fail_memory(err);
    }
    struct kl_json_iter iter = kl_json_iter(array);
    while (kl_json_next(&iter, NULL, &item)) {
        api_input_place(place, "%s/records/%zu", where, subject.record_count);
        status = api_input_record(item, place, arena, &records[subject.record_count++], err);
        if (status != KL_OK) {
            return status;
        }
    }
    subject.records = records;
    *ret_subject = subject;
    return KL_OK;
}

enum kl_status api_input_reason(const char *text, enum vault_erase_reason *ret_reason,
                                struct kl_err *err)
{
    if (text == NULL) {
        *ret_reason = VAULT_ERASE_OTHER;
        return KL_OK;
    }
    for (enum vault_erase_reason reason = 0; reason < VAULT_ERASE_REASONS; reason++) {
        if (strcmp(text, vault_erase_reason_name(reason)) == 0) {
            *ret_reason = reason;
            return KL_OK;
        }
    }
    return kl_fail(err, KL_ERR_INVALID, "invalid_reason",
                   "reason is request, retention, consent_withdrawn, tenant_end or other", NULL);
}

enum kl_status api_input_ground(const char *text, enum vault_ground *ret_ground, struct kl_err *err)
{
    if (text == NULL) {
        *ret_ground = VAULT_GROUND_NONE;
        return KL_OK;
    }
    if (vault_ground_parse(text, ret_ground)) {
        return KL_OK;
    }
    return kl_fail(err, KL_ERR_INVALID, "invalid_ground",
                   "a ground is legal_claim, protect_person or public_interest", NULL);
}
