/* Which handler answers a path and method. Threads: any; the table is constant. */
#ifndef KLUIS_API_ROUTER_H
#define KLUIS_API_ROUTER_H

#include "kluis/base/id.h"
#include "kluis/base/status.h"

#include <stddef.h>

struct api_request;
struct api_response;

/* Answers one request. On a failure err is set, and the caller makes a problem document of it. */
typedef enum kl_status (*api_handler)(struct api_request *request, struct api_response *response,
                                      struct kl_err *err);

#define API_ROUTE_OPEN 1u          /* no credential needed */
#define API_ROUTE_JSON 2u          /* a body in JSON */
#define API_ROUTE_JSON_OPTIONAL 4u /* the same, or none */
#define API_ROUTE_YAML 8u          /* a body in YAML */
#define API_ROUTE_BATCH 16u        /* the larger limit of a batch holds */
#define API_ROUTE_METRICS 32u      /* also answered by the metrics listener */
#define API_ROUTE_STREAM 64u /* a body of any type and size, which the handler takes in pieces */
#define API_ROUTE_CLOSED \
    128u /* a steward may, in its tenant's grace period too: vault_scope.closed_too */
/*
 * Also while a store has less room than its reserve (503 storage_low for all else): what frees room (erasing, ending, sweeping), what protects people and
 * must not wait (withdrawing, objecting, restricting, revoking, bringing a tenant back before its keys are shredded), and how operators see what is the
 * matter. None of it writes more than it frees, or more than a few rows. Of a batch the erasures.
 */
#define API_ROUTE_WHEN_LOW 256u

/*
 * pattern      "/v1/subjects/{sub}": literal segments, and in braces the prefix of an id, or
 *              "purpose", "tenant", "field", "rot".
 * parameters   names of query parameters, ended by NULL, "tenant" among them; NULL: none.
 */
struct api_route {
    const char *method;
    const char *pattern;
    api_handler handler;
    unsigned flags;
    const char *const *parameters;
};

#define API_PATH_MAX_BYTES 1024
#define API_PATH_IDS_MAX 2
#define API_PATH_NAME_MAX_BYTES 64

/* What the path says. */
struct api_match {
    const struct api_route *route;
    size_t route_index;
    struct kl_id ids[API_PATH_IDS_MAX];
    size_t id_count;
    char name[API_PATH_NAME_MAX_BYTES + 1]; /* of {purpose}, {tenant}, {field}; empty: none */
};

/* The table of the server (api/routes.c). */
extern const struct api_route API_ROUTES[];
extern const size_t API_ROUTES_COUNT;

/*
 * Find the route. HEAD is answered by the routes of GET that are API_ROUTE_OPEN.
 * ret_allow (64 bytes) is set to the methods that the path has whenever a route has that path.
 * KL_ERR_NOT_FOUND "no_route"; KL_ERR_INVALID "method_not_allowed", "invalid_id", "invalid_path";
 * KL_ERR_TOO_LARGE "uri_too_long".
 */
KL_MUST_USE enum kl_status api_router_find(const struct api_route *routes, size_t count,
                                           const char *method, const char *path,
                                           struct api_match *ret_match, char ret_allow[64],
                                           struct kl_err *err);

#endif
