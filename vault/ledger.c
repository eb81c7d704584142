/* What a ledger says beside its consents: objections and restriction, found and made in memory. */
#include "vault/manifest.h"

#include <assert.h>
#include <string.h>

const char *vault_restriction_ground_name(enum vault_restriction_ground ground)
{
    static const char *const names[VAULT_RESTRICTION_GROUNDS] = {
        "accuracy_contested", "unlawful", "needed_for_claim", "objection_pending"};

    assert((unsigned)ground < VAULT_RESTRICTION_GROUNDS);
    return names[ground];
}

const char *vault_objection_ground_name(enum vault_objection_ground ground)
{
    static const char *const names[VAULT_OBJECTION_GROUNDS] = {"situation", "direct_marketing",
                                                               "research"};

    assert((unsigned)ground < VAULT_OBJECTION_GROUNDS);
    return names[ground];
}

bool vault_ledger_limits(const struct vault_ledger *ledger)
{
    size_t i;

    for (i = 0; i < ledger->objection_count; i++) {
        if (ledger->objections[i].ended_us == 0) {
            return true;
        }
    }
    return ledger->restriction.at_us != 0;
}

struct vault_ledger_objection *vault_ledger_objection_find(const struct vault_ledger *ledger,
                                                           const char *purpose)
{
    size_t i;

    for (i = 0; i < ledger->objection_count; i++) {
        if (strcmp(ledger->objections[i].purpose, purpose) == 0) {
            return &ledger->objections[i];
        }
    }
    return NULL;
}

struct vault_ledger_objection *vault_ledger_objection_of(struct vault_ledger *ledger,
                                                         const char *purpose,
                                                         struct kl_arena *arena)
{
    struct vault_ledger_objection *found = vault_ledger_objection_find(ledger, purpose);
    struct vault_ledger_objection *grown = NULL;
    size_t count = ledger->objection_count;

    if (found != NULL || count >= VAULT_OBJECTIONS_MAX) {
        return found;
    }
    grown = kl_arena_array(arena, count + 1, sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(grown, ledger->objections, count * sizeof *grown);
    }
    grown[count].purpose = kl_arena_text(arena, purpose, strlen(purpose));
    if (grown[count].purpose == NULL) {
        return NULL;
    }
    grown[count].compelling = KMS_VALUE_NONE;
    ledger->objections = grown;
    ledger->objection_count = count + 1;
    return &grown[count];
}

uint64_t vault_ledger_evidence(const struct vault_ledger *ledger, size_t i)
{
    assert(i < ledger->count + ledger->objection_count);
    return i < ledger->count ? ledger->entries[i].evidence
                             : ledger->objections[i - ledger->count].compelling;
}
