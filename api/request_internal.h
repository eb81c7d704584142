/*
 * Reading the head of a request: framing, credential, types. Parts of api/app.c that are worth
 * testing alone.
 */
#ifndef KLUIS_API_REQUEST_INTERNAL_H
#define KLUIS_API_REQUEST_INTERNAL_H

#include "api/app.h"

/*
 * How long the body is (RFC 9112, 6). Without Content-Length: 0.
 * KL_ERR_INVALID "length_required" (a transfer coding: the server takes bodies of a stated length
 * only), "invalid_length" (not a number, given twice, or beside a transfer coding),
 * "expectation_failed" (other than 100-continue), "invalid_header" (a header that may be there once
 * is there twice; a control character; HTTP/1.1 without Host).
 */
KL_MUST_USE enum kl_status api_request_frame(const struct api_head *head, size_t *ret_length,
                                             struct kl_err *err);
/*
 * The token of "Authorization: Bearer TOKEN"; NULL without the header. KL_ERR_UNAUTHORISED
 * "unauthorised" for another scheme.
 */
KL_MUST_USE enum kl_status api_request_bearer(const struct api_head *head, const char **ret_token,
                                              struct kl_err *err);
/*
 * KL_ERR_INVALID "unsupported_media_type". JSON: application/json, application/merge-patch+json.
 * YAML: application/yaml, text/yaml.
 */
KL_MUST_USE enum kl_status api_request_content_type(const struct api_head *head, bool yaml,
                                                    struct kl_err *err);

#endif
