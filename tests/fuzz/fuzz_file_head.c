/* What a client says about a file in headers: a range is one of the file's bytes, a media type fits into a header line. */
#include "api/range.h"
#include "kluis/vault/file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    static const uint64_t SIZES[] = {0, 1, 100, UINT64_C(5) << 30, UINT64_MAX};
    char *text = malloc(size + 1);
    struct api_range range;

    assert(text != NULL);
    if (size > 0) {
        memcpy(text, bytes, size);
    }
    text[size] = '\0';
    if (api_range_parse(text, &range)) {
        for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
            uint64_t first = 0;
            uint64_t count = 0;
            if (api_range_resolve(&range, SIZES[i], &first, &count)) {
                assert(count > 0 && first < SIZES[i] && count <= SIZES[i] - first);
            }
        }
    }
    (void)api_range_counts(text, 1);
    if (vault_media_type_valid(text, size)) {
        assert(size <= VAULT_MEDIA_TYPE_MAX_BYTES && memchr(text, '/', size) != NULL);
        for (size_t i = 0; i < size; i++) {
            assert(text[i] >= 0x20 && text[i] < 0x7f);
        }
    }
    free(text);
    return 0;
}
