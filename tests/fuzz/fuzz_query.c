/*
 * The query of a URL, and the router: any text is read or refused, and what is read is UTF-8
 * without a 0 byte.
 */
#include "api/app.h"
#include "kluis/base/encode.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    static const char *const KNOWN[] = {"purpose", "fields", "limit", "cursor", NULL};
    struct kl_arena *arena = kl_arena_new(1u << 20);
    struct api_query query;
    struct api_match match;
    struct kl_err err = {0};
    char allow[64] = "";

    assert(arena != NULL);
    char *text = kl_arena_text(arena, bytes, size);
    if (text != NULL && api_query_parse(text, KNOWN, arena, &query, &err) == KL_OK) {
        for (size_t i = 0; KNOWN[i] != NULL; i++) {
            const char *value = api_query_get(&query, KNOWN[i]);
            assert(value == NULL || (value[0] != '\0' && kl_utf8_valid(value, strlen(value))));
        }
    }
    kl_err_clear(&err);
    if (text != NULL &&
        api_router_find(API_ROUTES, API_ROUTES_COUNT, "GET", text, &match, allow, &err) == KL_OK) {
        assert(match.route != NULL && match.id_count <= API_PATH_IDS_MAX && allow[0] != '\0');
    }
    kl_arena_free(arena);
    return 0;
}
