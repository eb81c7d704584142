/* The tables behind include/kluis/vault/residency.h, for residency.c and its tests. */
#ifndef KLUIS_VAULT_RESIDENCY_INTERNAL_H
#define KLUIS_VAULT_RESIDENCY_INTERNAL_H

#include "kluis/vault/residency.h"

#include <stddef.h>

/* For each first letter A..Z the second letters that make an assigned ISO 3166-1 alpha-2 code. */
extern const char *const vault_iso3166_second[26];
/* The countries and territories counted as the EEA, ended by NULL. */
extern const char *const vault_eea_codes[];

extern const struct vault_adequacy vault_adequacy_table[];
extern const size_t vault_adequacy_count;

/* One region of a cloud provider; name carries the provider ("aws:eu-west-1"). */
struct vault_region {
    const char *name;
    char country[3];
};
extern const struct vault_region vault_region_table[];
extern const size_t vault_region_count;
/* Names that span several countries, ended by NULL: known so that the refusal can say why. */
extern const char *const vault_multi_regions[];

#endif
