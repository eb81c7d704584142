/* Range and If-Range (RFC 9110, 14.2, 13.1.5): one range of bytes. Pure; any thread. */
#ifndef KLUIS_API_RANGE_H
#define KLUIS_API_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* suffix: the last bytes, count of them; else from first to last, both included (UINT64_MAX: to the end). */
struct api_range {
    bool suffix;
    uint64_t first;
    uint64_t last;
};

/*
 * Read "bytes=0-99", "bytes=100-", "bytes=-50". False: anything else (NULL, another unit, several
 * ranges, numbers of more than 18 digits), which the RFC lets a server pass over: all is sent then.
 */
bool api_range_parse(const char *text, struct api_range *ret);
/* What that is of size bytes: count >= 1 from first on. False: none of it is there (416). */
bool api_range_resolve(const struct api_range *range, uint64_t size, uint64_t *ret_first,
                       uint64_t *ret_count);
/* Whether a Range counts under that If-Range (NULL: there is none): only the strong ETag of that version lets it. */
bool api_range_counts(const char *if_range, uint64_t version);

#endif
