/* What is told of one subject when its tenant is exported: gathered, handed out, and written down for the trail. */
#include "vault/tenant_export_internal.h"

#include "vault/aside.h"
#include "vault/disclosure.h"
#include "vault/dossier.h"
#include "vault/request_internal.h"

#include <stdlib.h>
#include <string.h>

/*
 * Fields of one block of an entry, and the size from which on an entry gets no more of them: VAULT_RECORDS_MAX numbers and so many names fit
 * behind that (VAULT_AUDIT_ENTRY_MAX_BYTES).
 */
#define BLOCK_FIELDS_MAX 96
#define ACT_FULL_BYTES 4096

_Static_assert(ACT_FULL_BYTES + 15 * VAULT_RECORDS_MAX +
                       BLOCK_FIELDS_MAX * (VAULT_NAME_MAX_BYTES + 16) + 512 <=
                   VAULT_AUDIT_ENTRY_MAX_BYTES,
               "a block fits behind what an entry may hold before it");

/* ---- beside the records ---- */

static enum kl_status gather_consents(const struct vault_exporting *exporting,
                                      const struct vault_subject *subject,
                                      const struct vault_ledger *ledger,
                                      struct vault_exported_subject *ret, struct kl_err *err)
{
    struct vault_consent_result *consents =
        kl_arena_array(exporting->arena, ledger->count, sizeof *consents);
    enum kl_status status = consents == NULL ? kl_fail_memory(err) : KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < ledger->count; i++) {
        status = vault_consent_result_of(exporting->vault, exporting->caller, subject, ledger, i,
                                         &consents[i], err);
        if (status == KL_OK) {
            status = vault_evidence_read(exporting->vault, subject, ledger->entries[i].evidence,
                                         exporting->arena, &consents[i].evidence, err);
        }
    }
    ret->consents = consents;
    ret->consent_count = ledger->count;
    return status;
}

static enum kl_status gather_objections(const struct vault_exporting *exporting,
                                        const struct vault_subject *subject,
                                        const struct vault_ledger *ledger,
                                        struct vault_exported_subject *ret, struct kl_err *err)
{
    struct vault_objection_result *objections =
        kl_arena_array(exporting->arena, ledger->objection_count, sizeof *objections);
    enum kl_status status = objections == NULL ? kl_fail_memory(err) : KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < ledger->objection_count; i++) {
        vault_objection_result_of(&ledger->objections[i], &objections[i]);
        status = vault_evidence_read(exporting->vault, subject, ledger->objections[i].compelling,
                                     exporting->arena, &objections[i].compelling_grounds, err);
    }
    ret->objections = objections;
    ret->objection_count = ledger->objection_count;
    return status;
}

static enum kl_status gather_ledger(const struct vault_exporting *exporting,
                                    const struct vault_subject *subject,
                                    struct vault_exported_subject *ret, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    enum kl_status status =
        vault_subject_ledger(exporting->vault, subject, exporting->arena, &ledger, err);

    if (status == KL_OK) {
        ret->restriction = (struct vault_restriction){.in_force = ledger.restriction.at_us != 0,
                                                      .ground = ledger.restriction.ground,
                                                      .since_us = ledger.restriction.at_us};
        status = gather_consents(exporting, subject, &ledger, ret, err);
    }
    return status == KL_OK ? gather_objections(exporting, subject, &ledger, ret, err) : status;
}

static enum kl_status gather_disclosures(const struct vault_exporting *exporting,
                                         const struct vault_subject *subject,
                                         struct vault_exported_subject *ret, struct kl_err *err)
{
    struct vault_disclosures ledger = {0};
    struct vault_disclosure_result *disclosures = NULL;
    uint64_t value = KMS_VALUE_NONE;
    size_t i;
    enum kl_status status =
        vault_disclosures_load(exporting->vault, subject, exporting->arena, &ledger, &value, err);

    if (status != KL_OK) {
        return status;
    }
    disclosures = kl_arena_array(exporting->arena, ledger.count, sizeof *disclosures);
    if (disclosures == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < ledger.count; i++) {
        status = vault_disclosure_result_of(exporting->vault, subject, &ledger, i, true,
                                            exporting->arena, &disclosures[i], err);
    }
    ret->disclosures = disclosures;
    ret->disclosure_count = ledger.count;
    return status;
}

static enum kl_status gather_request(const struct vault_exporting *exporting,
                                     const struct vault_subject *subject, uint64_t value,
                                     struct vault_request_result *ret, struct kl_err *err)
{
    struct vault_request request;
    struct kl_slice text;
    enum kl_status status =
        vault_aside_open(exporting->vault, subject->tenant, subject->slot, value,
                         VAULT_REQUEST_CONTEXT, exporting->arena, &text, err);

    if (status == KL_OK) {
        status = vault_request_decode(text, exporting->arena, &request, err);
    }
    return status == KL_OK ? vault_request_result_of(exporting->caller, subject, &request, true,
                                                     exporting->arena, ret, err)
                           : status;
}

static enum kl_status gather_requests(const struct vault_exporting *exporting,
                                      const struct vault_subject *subject,
                                      struct vault_exported_subject *ret, struct kl_err *err)
{
    struct vault_request_result *requests = NULL;
    struct vault_aside *asides = NULL;
    size_t count = 0;
    size_t i;
    enum kl_status status = vault_aside_list(exporting->vault, subject->tenant, subject->slot,
                                             exporting->arena, &asides, &count, err);

    if (status != KL_OK) {
        return status;
    }
    requests = kl_arena_array(exporting->arena, count, sizeof *requests);
    if (requests == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (strcmp(asides[i].context, VAULT_REQUEST_CONTEXT) == 0) {
            status = gather_request(exporting, subject, asides[i].value,
                                    &requests[ret->request_count++], err);
        }
    }
    ret->requests = requests;
    return status;
}

enum kl_status vault_exporting_subject(struct vault_exporting *exporting,
                                       const struct vault_subject *subject, struct kl_err *err)
{
    struct vault_exported_subject told = {.id = subject->base.subject,
                                          .residency = subject->base.residency,
                                          .created_us = subject->base.created_us};
    enum kl_status status = gather_ledger(exporting, subject, &told, err);
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        told.record_count += subject->records[i].gone ? 0 : 1;
    }
    if (status == KL_OK) {
        status = gather_disclosures(exporting, subject, &told, err);
    }
    if (status == KL_OK) {
        status = gather_requests(exporting, subject, &told, err);
    }
    if (status == KL_OK) {
        status = exporting->sink->subject(exporting->sink->context, &told, err);
    }
    if (status == KL_OK) {
        exporting->has_told = true;
        exporting->beside = told.consent_count + told.objection_count + told.disclosure_count +
                            told.request_count + (told.restriction.in_force ? 1 : 0);
    }
    return status;
}

/* ---- a record ---- */

static enum kl_status gather_values(const struct vault_exporting *exporting,
                                    const struct vault_subject *subject,
                                    const struct vault_manifest_record *stored,
                                    struct vault_field_result *ret, struct kl_err *err)
{
    struct vault_value_wanted *wanted =
        kl_arena_array(exporting->scratch, stored->field_count, sizeof *wanted);
    size_t count = 0;
    size_t i;
    enum kl_status status = KL_OK;

    if (wanted == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < stored->field_count; i++) {
        const struct vault_manifest_field *field = &stored->fields[i];
        const bool secret = field->type == VAULT_TYPE_SECRET;

        ret[i] = (struct vault_field_result){.name = field->name,
                                             .view = secret ? VAULT_VIEW_PRESENT : VAULT_VIEW_PLAIN,
                                             .type = field->type};
        if (!secret) {
            wanted[count++] = (struct vault_value_wanted){.record = stored, .field = field};
        }
    }
    status = vault_subject_values(exporting->vault, subject->tenant, subject->slot, wanted, count,
                                  exporting->scratch, err);
    for (i = 0, count = 0; status == KL_OK && i < stored->field_count; i++) {
        if (ret[i].type != VAULT_TYPE_SECRET) {
            ret[i].value = wanted[count++].value;
        }
    }
    return status;
}

static enum kl_status gather_record(const struct vault_exporting *exporting,
                                    const struct vault_subject *subject,
                                    const struct vault_manifest_record *stored,
                                    struct vault_exported_record *ret, struct kl_err *err)
{
    struct vault_field_result *fields =
        kl_arena_array(exporting->scratch, stored->field_count, sizeof *fields);
    struct vault_exported_event *events =
        kl_arena_array(exporting->scratch, stored->event_count, sizeof *events);
    size_t i;

    if (fields == NULL || events == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < stored->event_count; i++) {
        events[i] = (struct vault_exported_event){stored->events[i].name, stored->events[i].at_us};
    }
    ret->record = (struct vault_record_result){.id = stored->id,
                                               .type = stored->type,
                                               .source = stored->source,
                                               .version = stored->version,
                                               .created_us = stored->created_us,
                                               .fields = fields,
                                               .field_count = stored->field_count};
    ret->events = events;
    ret->event_count = stored->event_count;
    ret->hold_basis = stored->hold_basis;
    ret->hold_until_us = stored->hold_until_us;
    return gather_values(exporting, subject, stored, fields, err);
}

enum kl_status vault_exporting_record(struct vault_exporting *exporting,
                                      const struct vault_subject *subject, size_t at,
                                      const struct kl_id *receipt, struct kl_err *err)
{
    const struct vault_manifest_record *stored = &subject->records[at];
    struct vault_exported_record told = {.subject = receipt == NULL ? &subject->base.subject : NULL,
                                         .receipt = receipt};
    enum kl_status status = KL_OK;
    size_t i;

    kl_arena_reset(exporting->scratch);
    status = gather_record(exporting, subject, stored, &told, err);
    if (status == KL_OK) {
        status = exporting->sink->record(exporting->sink->context, &told, err);
    }
    if (status != KL_OK) {
        return status;
    }
    exporting->has_told = true;
    exporting->told[exporting->told_count++] =
        (struct vault_exporting_record){stored, subject->head.records[at].value};
    exporting->page.records++;
    exporting->page.fields += stored->field_count;
    for (i = 0; i < stored->field_count; i++) {
        exporting->page.files += stored->fields[i].type == VAULT_TYPE_FILE ? 1 : 0;
    }
    return KL_OK;
}

/* ---- the trail ---- */

struct vault_act *vault_exporting_act_new(struct vault_exporting *exporting)
{
    struct vault_act **grown = NULL;
    struct vault_act *act = calloc(1, sizeof *act);

    if (act != NULL && exporting->act_count == exporting->act_room) {
        exporting->act_room = exporting->act_room == 0 ? 64 : 2 * exporting->act_room;
        grown = realloc(exporting->acts, exporting->act_room * sizeof(struct vault_act *));
        if (grown == NULL) {
            exporting->act_room = exporting->act_count;
            free(act);
            return NULL;
        }
        exporting->acts = grown;
    }
    if (act != NULL) {
        exporting->acts[exporting->act_count++] = act;
    }
    return act;
}

void vault_exporting_done(struct vault_exporting *exporting)
{
    size_t i;

    for (i = 0; i < exporting->act_count; i++) {
        vault_act_done(exporting->acts[i]);
        free(exporting->acts[i]);
    }
    free(exporting->acts);
    exporting->acts = NULL;
    exporting->act_count = 0;
}

static bool is_alike(const struct vault_manifest_record *one,
                     const struct vault_manifest_record *other)
{
    bool alike = strcmp(one->type, other->type) == 0 && one->field_count == other->field_count;
    size_t i;

    for (i = 0; alike && i < one->field_count; i++) {
        alike = strcmp(one->fields[i].name, other->fields[i].name) == 0 &&
                one->fields[i].type == other->fields[i].type;
    }
    return alike;
}

static void put_fields(struct kl_json_out *out, const struct vault_manifest_field *fields,
                       size_t count)
{
    size_t i;

    kl_json_key(out, "fields");
    kl_json_object_begin(out);
    for (i = 0; i < count; i++) {
        kl_json_add_text(out, fields[i].name,
                         vault_view_name(fields[i].type == VAULT_TYPE_SECRET ? VAULT_VIEW_PRESENT
                                                                             : VAULT_VIEW_PLAIN));
    }
    kl_json_object_end(out);
}

static enum kl_status act_begin(struct vault_exporting *exporting,
                                const struct vault_subject *subject, struct vault_act **ret,
                                struct kl_err *err)
{
    struct vault_act *act = vault_exporting_act_new(exporting);

    if (act == NULL) {
        return kl_fail_memory(err);
    }
    vault_subject_act_begin(act, exporting->caller, VAULT_EXPORT_ACTION, subject->slot);
    if (exporting->beside > 0) {
        kl_json_add_int(&act->out, "beside", (int64_t)exporting->beside);
        exporting->beside = 0; /* in the first of them alone */
    }
    vault_subject_act_transfers(act, exporting->caller->policy, exporting->transfers);
    kl_json_key(&act->out, "shown");
    kl_json_array_begin(&act->out);
    *ret = act;
    return KL_OK;
}

static enum kl_status act_end(struct vault_act *act, struct kl_err *err)
{
    kl_json_array_end(&act->out);
    return vault_subject_act_end(act, err);
}

/* Some fields of the records that are alike to the one at `first`, from field `from` on. */
static void put_block(struct kl_json_out *out, const struct vault_exporting *exporting,
                      size_t first, size_t from, const bool *written)
{
    const struct vault_manifest_record *of = exporting->told[first].stored;
    const size_t left = of->field_count - from;
    size_t i;

    kl_json_object_begin(out);
    kl_json_add_text(out, "type", of->type);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (i = first; i < exporting->told_count; i++) {
        if (!written[i] && is_alike(exporting->told[i].stored, of)) {
            kl_json_put_int(out, (int64_t)exporting->told[i].value);
        }
    }
    kl_json_array_end(out);
    put_fields(out, of->fields + from, left < BLOCK_FIELDS_MAX ? left : BLOCK_FIELDS_MAX);
    kl_json_object_end(out);
}

static void mark_written(const struct vault_exporting *exporting, size_t first, bool *written)
{
    size_t i;

    for (i = first; i < exporting->told_count; i++) {
        written[i] =
            written[i] || is_alike(exporting->told[i].stored, exporting->told[first].stored);
    }
}

/* All blocks of the records alike to the one at `first`; a full entry ends, and another begins. */
static enum kl_status put_group(struct vault_exporting *exporting,
                                const struct vault_subject *subject, size_t first, bool *written,
                                struct vault_act **act, struct kl_err *err)
{
    const size_t count = exporting->told[first].stored->field_count;
    enum kl_status status = KL_OK;
    size_t from = 0;

    do {
        if ((*act)->entry.json.size > ACT_FULL_BYTES) {
            status = act_end(*act, err);
            if (status == KL_OK) {
                status = act_begin(exporting, subject, act, err);
            }
        }
        if (status == KL_OK) {
            put_block(&(*act)->out, exporting, first, from, written);
        }
        from += BLOCK_FIELDS_MAX;
    } while (status == KL_OK && from < count);
    mark_written(exporting, first, written);
    return status;
}

enum kl_status vault_exporting_act(struct vault_exporting *exporting,
                                   const struct vault_subject *subject, struct kl_err *err)
{
    bool written[VAULT_RECORDS_MAX] = {false};
    struct vault_act *act = NULL;
    enum kl_status status = KL_OK;
    size_t i;

    if (exporting->has_told) {
        status = act_begin(exporting, subject, &act, err);
        for (i = 0; status == KL_OK && i < exporting->told_count; i++) {
            if (!written[i]) {
                status = put_group(exporting, subject, i, written, &act, err);
            }
        }
        if (status == KL_OK) {
            status = act_end(act, err);
        }
    }
    exporting->has_told = false;
    exporting->told_count = 0;
    exporting->beside = 0;
    return status;
}
