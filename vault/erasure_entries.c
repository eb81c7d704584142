/* What leads to somebody who is erased: which entries of the index, and which buckets are to be re-keyed for it. */
#include "kluis/base/log.h"
#include "vault/erasure_plan.h"

/* In the index in use, and in the one being built. */
static enum kl_status entries_of(struct vault_erase_plan *plan, const char *kind,
                                 struct kl_slice value, uint64_t discriminator, struct kl_err *err)
{
    size_t count = 0;
    enum kl_status status = vault_index_entries(plan->vault->index, plan->subject.tenant, kind,
                                                value, plan->subject.slot, discriminator,
                                                plan->entries + plan->entry_count, &count, err);

    plan->entry_count += count;
    return status;
}

/*
 * The entry of one value. A value that does not open must not keep anybody from being erased; its entry then stays behind, leading to
 * nobody, until the index is built anew.
 */
static enum kl_status entry_add(struct vault_erase_plan *plan,
                                const struct vault_manifest_record *record,
                                const struct vault_manifest_field *field, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_value_wanted wanted = {.record = record, .field = field};
    struct kl_err unopened = {0};
    char name[VAULT_FIELD_NAME_BYTES];
    struct kl_buf form;

    if (field->index == VAULT_INDEX_NONE) {
        return KL_OK;
    }
    kl_arena_reset(plan->scratch);
    status = vault_subject_values(plan->vault, plan->subject.tenant, plan->subject.slot, &wanted, 1,
                                  plan->scratch, &unopened);
    if (status != KL_OK) {
        if (status != KL_ERR_GONE) {
            kl_log_err(KL_LOG_WARNING, "index_entry_not_found", &unopened);
        }
        return status == KL_ERR_GONE || status == KL_ERR_CORRUPT
                   ? KL_OK
                   : kl_fail(err, status, unopened.code, unopened.client_text, NULL);
    }
    kl_buf_init(&form, VAULT_TAG_VALUE_MAX_BYTES);
    vault_field_name(record->type, field->name, name);
    status = vault_value_index_form(field->type, wanted.value, &form, err);
    if (status == KL_OK) {
        status = entries_of(plan, name, kl_buf_slice(&form),
                            vault_index_discriminator(&record->id, field->name), err);
    }
    kl_buf_done(&form);
    return status;
}

/* What leads to the subject as a whole: its id, and the handles of its pseudonyms. */
static enum kl_status own_entries_add(struct vault_erase_plan *plan, struct kl_err *err)
{
    const struct vault_manifest_base *base = &plan->subject.base;
    enum kl_status status =
        entries_of(plan, "id", kl_slice_of(base->subject.bytes, KL_ID_BYTES), 0, err);
    size_t i;

    for (i = 0; status == KL_OK && i < base->handle_count; i++) {
        status = entries_of(plan, VAULT_PSEUDONYM_KIND,
                            kl_slice_of(base->handles[i], VAULT_HANDLE_BYTES), 0, err);
    }
    return status;
}

/* Entries of what is there now, and of what was: a removed entry still stands in the old bytes of its bucket. */
enum kl_status vault_erase_entries_gather(struct vault_erase_plan *plan, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t room = 1 + plan->subject.base.handle_count;
    size_t i;
    size_t k;

    for (i = 0; i < plan->subject.head.record_count; i++) {
        room += vault_erase_is_meant(plan, i)
                    ? plan->subject.records[i].field_count + plan->subject.records[i].past_count
                    : 0;
    }
    plan->entries = kl_arena_array(plan->arena, VAULT_INDEX_TWIN * room, sizeof *plan->entries);
    if (plan->entries == NULL) {
        return kl_fail_memory(err);
    }
    if (plan->kind == VAULT_NOTE_SUBJECT) {
        status = own_entries_add(plan, err);
    }
    for (i = 0; status == KL_OK && i < plan->subject.head.record_count; i++) {
        const struct vault_manifest_record *record = &plan->subject.records[i];

        for (k = 0; status == KL_OK && vault_erase_is_meant(plan, i) &&
                    plan->kind != VAULT_NOTE_PAST && k < record->field_count;
             k++) {
            status = entry_add(plan, record, &record->fields[k], err);
        }
        for (k = 0; status == KL_OK && vault_erase_is_meant(plan, i) && k < record->past_count;
             k++) {
            status = entry_add(plan, record, &record->past[k], err);
        }
    }
    return status;
}

enum kl_status vault_erase_entries_rekey(struct vault_erase_plan *plan, size_t places_max,
                                         struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place *places = kl_arena_array(plan->arena, places_max, sizeof *places);
    size_t count = 0;
    size_t i;

    if (places == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_index_places(plan->vault->index, plan->subject.tenant, plan->entries,
                                plan->entry_count, places, places_max, &count, err);
    for (i = 0; status == KL_OK && i < count; i++) {
        plan->changes[plan->change_count].kind = KMS_CHANGE_REKEY;
        plan->changes[plan->change_count++].place = places[i];
    }
    return status;
}
