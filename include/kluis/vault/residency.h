/*
 * Countries: who is in the EEA, which adequacy decisions of the Commission
 * (GDPR art. 45) hold when and for whom, and which country a cloud region
 * lies in. Tables with their sources are in vault/residency_tables.c and
 * vault/residency_regions.c.
 * Threads: any; tables are constant.
 */
#ifndef KLUIS_VAULT_RESIDENCY_H
#define KLUIS_VAULT_RESIDENCY_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ISO 3166-1 alpha-2, upper case, 0-terminated; all zero: none declared. */
struct vault_country {
    char code[3];
};

/* KL_ERR_INVALID "invalid_country": no assigned alpha-2 code (EL and UK get a suggestion). */
KL_MUST_USE enum kl_status vault_country_parse(const char *text, size_t size,
                                               struct vault_country *ret_country,
                                               struct kl_err *err);
bool vault_country_is_set(struct vault_country country);
/* The 27 EU members with the territories that are part of it under their own code, IS, LI, NO. */
bool vault_country_in_eea(struct vault_country country);

/*
 * One adequacy decision.
 *
 * decision     its number, "2000/518/EC"
 * from_us      the first moment of the day it was made (UTC)
 * to_us        the first moment it no longer holds; 0: it has no end
 * scope        "commercial organisations under PIPEDA": who relies on it must say that the scope
 *              fits; NULL: the whole country
 * never_alone  United States: certified organisations only, so `adequate` alone never admits it
 */
struct vault_adequacy {
    struct vault_country country;
    const char *decision;
    int64_t from_us;
    int64_t to_us;
    const char *scope;
    bool never_alone;
};
/* The decision that covers country at that moment; NULL when there is none. */
const struct vault_adequacy *vault_adequacy_find(struct vault_country country, int64_t at_us);

/*
 * The country of "aws:eu-west-1", "azure:westeurope", "gcp:europe-west1".
 * KL_ERR_INVALID "unknown_region", with the nearest name; also for a name that spans several
 * countries ("gcp:europe"), with that as the reason.
 */
KL_MUST_USE enum kl_status vault_region_country(const char *region,
                                                struct vault_country *ret_country,
                                                struct kl_err *err);
/* A country code, or a region when there is a colon in it. Errors of either. */
KL_MUST_USE enum kl_status vault_place_country(const char *text, struct vault_country *ret_country,
                                               struct kl_err *err);

/* A subject's residency tag. */
enum vault_residency { VAULT_RESIDENCY_EEA, VAULT_RESIDENCY_NONE };
const char *vault_residency_name(enum vault_residency residency); /* "EEA", "none" */
/* KL_ERR_INVALID "invalid_residency". */
KL_MUST_USE enum kl_status vault_residency_parse(const char *text,
                                                 enum vault_residency *ret_residency,
                                                 struct kl_err *err);
/*
 * May data of that tag be placed in a store in that country? KL_ERR_FORBIDDEN "residency" when not;
 * a store without a country is outside.
 */
KL_MUST_USE enum kl_status vault_residency_place(enum vault_residency residency,
                                                 struct vault_country store, struct kl_err *err);

#endif
