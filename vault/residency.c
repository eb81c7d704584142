/* Looking things up in the tables of residency_tables.c and residency_regions.c. */
#include "kluis/vault/residency.h"

#include "kluis/base/yaml.h"
#include "residency_internal.h"

#include <assert.h>
#include <string.h>

#define REGION_NAMES_MAX 256

static bool same_country(struct vault_country a, struct vault_country b)
{
    return a.code[0] == b.code[0] && a.code[1] == b.code[1];
}

static bool assigned(char first, char second)
{
    return first >= 'A' && first <= 'Z' && second >= 'A' && second <= 'Z' &&
           strchr(vault_iso3166_second[first - 'A'], second) != NULL;
}

enum kl_status vault_country_parse(const char *text, size_t size, struct vault_country *ret_country,
                                   struct kl_err *err)
{
    if (size == 2 && text[0] == 'E' && text[1] == 'L')
        return kl_fail(err, KL_ERR_INVALID, "invalid_country",
                       "EL is no ISO 3166-1 code, did you mean GR?", NULL);
    if (size == 2 && text[0] == 'U' && text[1] == 'K')
        return kl_fail(err, KL_ERR_INVALID, "invalid_country",
                       "UK is no ISO 3166-1 code, did you mean GB?", NULL);
    if (size != 2 || !assigned(text[0], text[1]))
        return kl_fail(err, KL_ERR_INVALID, "invalid_country",
                       "a country is two upper case letters of ISO 3166-1, such as BE", NULL);
    *ret_country = (struct vault_country){{text[0], text[1], '\0'}};
    return KL_OK;
}

bool vault_country_is_set(struct vault_country country)
{
    return country.code[0] != '\0';
}

bool vault_country_in_eea(struct vault_country country)
{
    for (const char *const *code = vault_eea_codes; *code != NULL; code++)
        if ((*code)[0] == country.code[0] && (*code)[1] == country.code[1])
            return true;
    return false;
}

const struct vault_adequacy *vault_adequacy_find(struct vault_country country, int64_t at_us)
{
    for (size_t i = 0; i < vault_adequacy_count; i++) {
        const struct vault_adequacy *entry = &vault_adequacy_table[i];
        if (same_country(entry->country, country) && at_us >= entry->from_us &&
            (entry->to_us == 0 || at_us < entry->to_us))
            return entry;
    }
    return NULL;
}

static enum kl_status region_unknown(const char *region, struct kl_err *err)
{
    const char *names[REGION_NAMES_MAX];
    const char *nearest = NULL;

    for (const char *const *name = vault_multi_regions; *name != NULL; name++)
        if (strcmp(*name, region) == 0)
            return kl_failf(err, KL_ERR_INVALID, "unknown_region",
                            "%s spans several countries; name a region that lies in one", *name);
    assert(vault_region_count < REGION_NAMES_MAX);
    for (size_t i = 0; i < vault_region_count; i++)
        names[i] = vault_region_table[i].name;
    names[vault_region_count] = NULL;
    nearest = kl_suggest(region, names);
    if (nearest != NULL)
        return kl_failf(err, KL_ERR_INVALID, "unknown_region", "unknown region, did you mean %s?",
                        nearest);
    return kl_fail(err, KL_ERR_INVALID, "unknown_region",
                   "unknown region; write aws:, azure: or gcp: and the region's name, or a country "
                   "code",
                   NULL);
}

enum kl_status vault_region_country(const char *region, struct vault_country *ret_country,
                                    struct kl_err *err)
{
    for (size_t i = 0; i < vault_region_count; i++)
        if (strcmp(vault_region_table[i].name, region) == 0) {
            const char *code = vault_region_table[i].country;
            *ret_country = (struct vault_country){{code[0], code[1], '\0'}};
            return KL_OK;
        }
    return region_unknown(region, err);
}

enum kl_status vault_place_country(const char *text, struct vault_country *ret_country,
                                   struct kl_err *err)
{
    if (strchr(text, ':') != NULL)
        return vault_region_country(text, ret_country, err);
    return vault_country_parse(text, strlen(text), ret_country, err);
}

const char *vault_residency_name(enum vault_residency residency)
{
    return residency == VAULT_RESIDENCY_EEA ? "EEA" : "none";
}

enum kl_status vault_residency_parse(const char *text, enum vault_residency *ret_residency,
                                     struct kl_err *err)
{
    if (strcmp(text, "EEA") == 0)
        *ret_residency = VAULT_RESIDENCY_EEA;
    else if (strcmp(text, "none") == 0)
        *ret_residency = VAULT_RESIDENCY_NONE;
    else
        return kl_fail(err, KL_ERR_INVALID, "invalid_residency", "a residency is EEA or none",
                       NULL);
    return KL_OK;
}

enum kl_status vault_residency_place(enum vault_residency residency, struct vault_country store,
                                     struct kl_err *err)
{
    if (residency == VAULT_RESIDENCY_NONE || vault_country_in_eea(store))
        return KL_OK;
    return kl_fail(err, KL_ERR_FORBIDDEN, "residency",
                   "data tagged EEA is not placed in a store outside the EEA", NULL);
}
