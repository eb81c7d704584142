/* The rules that are ours on top of RFC 8259. */
#ifndef BASE_JSON_CHECK_H
#define BASE_JSON_CHECK_H

#include "kluis/base/status.h"

#include <stddef.h>
#include <yyjson.h>

/*
 * Refuse duplicate keys, U+0000, too much depth and too many members.
 * text[0..size) is what root was read from. Errors as kl_json_parse() names them.
 */
KL_MUST_USE enum kl_status kl_json_check(yyjson_val *root, const char *text, size_t size,
                                         struct kl_err *err);

/*
 * Write key as one part of a JSON pointer (RFC 6901) and a 0 byte; what does not fit room (1 or
 * more) is left out.
 */
void kl_json_pointer_escape(const char *key, size_t key_bytes, char *out, size_t room);

#endif
