/* A row of the list of stores. What is taken keeps its rules: places that are absolute, within their sizes, and a country that there is. */
#include "vault/stores_internal.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault_store_row row = {.name = "orbit", .added_us = 77};
    struct vault_country country;

    if (!vault_store_row_parse(kl_slice_of(data, size), &row)) {
        assert(row.added_us == 77 && row.directory[0] == '\0');
        return 0;
    }
    assert(strcmp(row.name, "orbit") == 0);
    assert(row.directory[0] == '/' && memchr(row.directory, '\0', sizeof row.directory) != NULL);
    assert(row.custodian[0] != '\0' && memchr(row.custodian, '\0', sizeof row.custodian) != NULL);
    assert(memchr(row.next, '\0', sizeof row.next) != NULL);
    assert(vault_country_parse(row.country.code, strlen(row.country.code), &country, NULL) ==
           KL_OK);
    return 0;
}
