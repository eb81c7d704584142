/*
 * From JSON to the structs of the vault. Texts point into the JSON; arrays come from the arena.
 *
 * where: the JSON pointer of the object at hand, "" for the root; failures note the place of the
 * member. Every one of these: KL_ERR_INVALID "invalid_type" (another JSON type), "missing_key",
 * "unknown_key"; KL_ERR_NO_MEMORY. Results are untouched on failure. Threads: any.
 */
#ifndef KLUIS_API_INPUT_H
#define KLUIS_API_INPUT_H

#include "kluis/base/arena.h"
#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/vault/subject.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_INPUT_JSON_MAX_BYTES (1024u * 1024u) /* of one array or object that is a value */

/* Make the pointer of a place, cut to what kl_err can hold. */
void api_input_place(char ret_place[KL_ERR_WHERE_BYTES], const char *format, ...) KL_PRINTF(2, 3);

/*
 * A string; without one NULL, or a failure when it is required. An empty one is a failure
 * ("empty_value").
 */
KL_MUST_USE enum kl_status api_input_text(const struct kl_json_value *object, const char *key,
                                          const char *where, bool required, const char **ret_text,
                                          struct kl_err *err);
/* false without one */
KL_MUST_USE enum kl_status api_input_bool(const struct kl_json_value *object, const char *key,
                                          const char *where, bool *ret_value, struct kl_err *err);
/* An RFC 3339 time; 0 without one. Also KL_ERR_INVALID "invalid_time". */
KL_MUST_USE enum kl_status api_input_time(const struct kl_json_value *object, const char *key,
                                          const char *where, int64_t *ret_time_us,
                                          struct kl_err *err);
/* A whole number from minimum to maximum; fallback without one. Also "invalid_value". */
KL_MUST_USE enum kl_status api_input_int(const struct kl_json_value *object, const char *key,
                                         const char *where, int64_t minimum, int64_t maximum,
                                         int64_t fallback, int64_t *ret_number, struct kl_err *err);
/* An id of that prefix. *ret_id is NULL without one, else from the arena. Also "invalid_id". */
KL_MUST_USE enum kl_status api_input_id(const struct kl_json_value *object, const char *key,
                                        const char *where, const char *prefix, bool required,
                                        struct kl_arena *arena, const struct kl_id **ret_id,
                                        struct kl_err *err);
/*
 * An array of strings, at most max. NULL and 0 without one. Also KL_ERR_TOO_LARGE "too_many_items".
 */
KL_MUST_USE enum kl_status api_input_names(const struct kl_json_value *object, const char *key,
                                           const char *where, size_t max, struct kl_arena *arena,
                                           const char *const **ret_names, size_t *ret_count,
                                           struct kl_err *err);
/*
 * "a,b,c" of a query parameter; NULL gives none. KL_ERR_INVALID "invalid_parameter" for an empty
 * name; "too_many_items".
 */
KL_MUST_USE enum kl_status api_input_list(const char *text, size_t max, struct kl_arena *arena,
                                          const char *const **ret_names, size_t *ret_count,
                                          struct kl_err *err);

/* A value as the vault takes it: numbers as they were written, arrays and objects as JSON text. */
KL_MUST_USE enum kl_status api_input_value(const struct kl_json_value *value,
                                           struct kl_arena *arena,
                                           struct vault_value_input *ret_value, struct kl_err *err);
/*
 * {name: value, ...}; null removes where may_remove, else it is a failure. KL_ERR_TOO_LARGE
 * "too_many_fields".
 */
KL_MUST_USE enum kl_status api_input_fields(const struct kl_json_value *object, const char *where,
                                            bool may_remove, struct kl_arena *arena,
                                            const struct vault_field_input **ret_fields,
                                            size_t *ret_count, struct kl_err *err);
/* The member "fields" of a merge patch. */
KL_MUST_USE enum kl_status api_input_patch_fields(const struct kl_json_value *object,
                                                  const char *where, struct kl_arena *arena,
                                                  const struct vault_field_input **ret_fields,
                                                  size_t *ret_count, struct kl_err *err);
/*
 * {notice, channel, evidence?, at?, expires?, recipient?, explicit?}, and purpose when path_purpose
 * is NULL.
 */
KL_MUST_USE enum kl_status api_input_consent(const struct kl_json_value *object, const char *where,
                                             const char *path_purpose,
                                             struct vault_consent_input *ret_consent,
                                             struct kl_err *err);
/* {type, source?, fields, consents?} */
KL_MUST_USE enum kl_status api_input_record(const struct kl_json_value *object, const char *where,
                                            struct kl_arena *arena,
                                            struct vault_record_input *ret_record,
                                            struct kl_err *err);
/* {residency?, records} and whatever else known lists. KL_ERR_TOO_LARGE "too_many_records". */
KL_MUST_USE enum kl_status api_input_subject(const struct kl_json_value *object, const char *where,
                                             const char *const *known, struct kl_arena *arena,
                                             struct vault_subject_input *ret_subject,
                                             struct kl_err *err);
/* "legal_claim", ...; NULL is none. KL_ERR_INVALID "invalid_ground". */
KL_MUST_USE enum kl_status api_input_ground(const char *text, enum vault_ground *ret_ground,
                                            struct kl_err *err);
/*
 * A reason to erase: "request", "retention", ...; NULL is "other". KL_ERR_INVALID "invalid_reason".
 */
KL_MUST_USE enum kl_status api_input_reason(const char *text, enum vault_erase_reason *ret_reason,
                                            struct kl_err *err);

#endif
