/*
 * At open: does data/ know everything that the keys went through?
 *
 *   noted < generation     a crash left notes of key commits: their audit entries and receipts are written now.
 *   prepared < generation  data/ is older than keys/ (a restored copy, or rows lost with a power failure): its buckets may be of keys that
 *                          are gone. The index is built anew from what still opens; rows of the shredded are removed.
 *
 * A restored copy also knows too low a mark of the value slots of each subject; numbers above it were used, and some of them shredded.
 * So the key store counts how often this happened, and a subject that is changed after a restore goes on in a fresh block of value slots
 * (VAULT_VALUE_EPOCH_BITS). The count lies beside the keys, so that no copy of data/ brings it back.
 *
 * What kluisd restore put back says so itself (row "restored"), whatever its marks say. A copy from after the last key commit is found by the audit trail: its head beside the keys is then ahead of data/. What was closed since
 * is closed again by the journal (journal.h), after this.
 */
#include "vault/erasure.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/restore.h"
#include "vault/restored.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/values.h"

#include <stdlib.h>
#include <string.h>

#define RESTORES_KEY "Vrestores"

/* ---- numbers ---- */

/* What reading a row of 8 bytes came to; ret_there false when there is none. */
static enum kl_status number_of(enum kl_status status, const struct kl_buf *row,
                                uint64_t *ret_number, bool *ret_there, struct kl_err *err)
{
    *ret_there = status == KL_OK;
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        return KL_OK;
    }
    if (status == KL_OK && row->size != 8) {
        return kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    }
    if (status == KL_OK) {
        *ret_number = kl_get_u64be(row->bytes);
    }
    return status;
}

static enum kl_status mark_get(struct vault *vault, const char *name, uint64_t *ret_number,
                               bool *ret_there, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_meta(name);
    struct kl_buf row;

    kl_buf_init(&row, 64);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    status = number_of(status, &row, ret_number, ret_there, err);
    kl_buf_done(&row);
    return status;
}

static enum kl_status mark_put(struct vault *vault, const char *name, uint64_t number,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_meta(name);
    struct vault_batch *batch = vault_batch_new();
    unsigned char bytes[8];

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    kl_put_u64be(bytes, number);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
    status = vault_store_apply(vault->data_store, batch, true, err);
    vault_batch_free(batch);
    return status;
}

/* ---- notes ---- */

struct gathering {
    struct vault *vault;
    uint64_t before;
    uint64_t generation; /* of the notes at hand */
    uint64_t expected;   /* the generation that comes next when none is missing */
    bool complete;
    struct vault_note *notes;
    struct vault_erasing **works; /* all NULL */
    size_t count;
};

static enum kl_status gathered_finish(struct gathering *gathering, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (gathering->count > 0) {
        status = vault_erasure_finish(gathering->vault, gathering->generation, gathering->notes,
                                      gathering->works, gathering->count, err);
    }
    gathering->count = 0;
    return status;
}

static enum kl_status gather(void *visitor, uint64_t generation, struct kl_slice note,
                             struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct gathering *gathering = visitor;

    if (generation >= gathering->before) {
        return KL_OK;
    }
    if (generation != gathering->generation || gathering->count == KMS_GROUP_MAX) {
        status = gathered_finish(gathering, err);
        if (generation != gathering->generation) {
            gathering->complete = gathering->complete && generation == gathering->expected;
            gathering->expected = generation + 1;
            gathering->generation = generation;
        }
    }
    if (status == KL_OK && !vault_note_is_step(note)) {
        status = vault_note_decode(note, &gathering->notes[gathering->count], err);
        gathering->count++;
    }
    return status;
}

enum kl_status vault_erasure_notes_finish(struct vault *vault, uint64_t before, bool *ret_complete,
                                          struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct gathering gathering = {.vault = vault, .before = before, .complete = true};
    uint64_t noted = 0;
    bool there = false;

    gathering.notes = calloc(KMS_GROUP_MAX, sizeof *gathering.notes);
    gathering.works = calloc(KMS_GROUP_MAX, sizeof *gathering.works);
    if (gathering.notes == NULL || gathering.works == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    status = mark_get(vault, VAULT_META_NOTED, &noted, &there, err);
    gathering.expected = noted + 1;
    if (status == KL_OK) {
        status = kms_notes_each(vault->keys, noted, gather, &gathering, err);
    }
    if (status == KL_OK) {
        status = gathered_finish(&gathering, err);
    }
    if (status == KL_OK && ret_complete != NULL) {
        *ret_complete = gathering.complete && gathering.expected >= before;
    }

out:
    free(gathering.notes);
    free(gathering.works);
    return status;
}

/* ---- an older data/ ---- */

static enum kl_status restores_read(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf row;
    uint64_t restores = 0;
    bool there = false;

    kl_buf_init(&row, 64);
    status = kms_side_get(vault->keys, kl_slice_text(RESTORES_KEY), &row, err);
    status = number_of(status, &row, &restores, &there, err);
    kl_buf_done(&row);
    if (status == KL_OK && restores > VAULT_EPOCH_MAX) {
        return kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    }
    vault->restores = (uint32_t)restores;
    return status;
}

/* Count it, and go on with the trails; once for each restore, and before anything is written to a trail. */
static enum kl_status restored_begin(struct vault *vault, uint64_t prepared, uint64_t generation,
                                     struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char bytes[8];
    struct kms_storage_write write = {.key = kl_slice_text(RESTORES_KEY),
                                      .value = kl_slice_of(bytes, sizeof bytes)};

    if (vault->restores >= VAULT_EPOCH_MAX) {
        return kl_fail(err, KL_ERR_REFUSED, "restored_too_often",
                       "an older data directory was put in too often", NULL);
    }
    kl_log(KL_LOG_WARNING, "data_older_than_keys", KL_LOG_INT("data_generation", prepared),
           KL_LOG_INT("generation", generation));
    vault->restores++;
    kl_put_u64be(bytes, vault->restores);
    status = kms_side_apply(vault->keys, &write, 1, true, err);
    return status == KL_OK ? vault_restored_say(vault, prepared, generation, err) : status;
}

static enum kl_status rebuild_all(struct vault *vault, uint64_t generation, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < vault->tenants.count; i++) {
        status = vault_subject_index_rebuild(vault, vault->tenants.items[i]->number, err);
    }
    if (status == KL_OK) {
        status = mark_put(vault, VAULT_META_NOTED, generation, err);
    }
    return status == KL_OK ? mark_put(vault, VAULT_META_PREPARED, generation, err) : status;
}

enum kl_status vault_erasure_recover(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = restores_read(vault, err);
    struct kms_state state;
    uint64_t prepared = 0;
    bool complete = false;
    bool there = false;
    bool older = false;
    bool put_back = false;

    kms_state(vault->keys, &state);
    if (status == KL_OK) {
        status = mark_get(vault, VAULT_META_PREPARED, &prepared, &there, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (!there) {
        /* The first time: there are no subjects yet. */
        status = mark_put(vault, VAULT_META_NOTED, state.generation, err);
        return status == KL_OK ? mark_put(vault, VAULT_META_PREPARED, state.generation, err)
                               : status;
    }
    status = vault_restored_mark(vault->data_store, &put_back, NULL, err);
    if (status == KL_OK) {
        status = vault_restored_trails(vault, &older, err);
    }
    older = older || put_back || prepared < state.generation;
    if (status == KL_OK && older) {
        status = restored_begin(vault, prepared, state.generation, err);
    }
    if (status == KL_OK) {
        status = vault_erasure_notes_finish(vault, state.generation + 1, &complete, err);
    }
    if (status == KL_OK) {
        status = vault_values_tidy(vault, err);
    }
    if (status == KL_OK) {
        status = vault_tenants_end_again(vault, err);
    }
    if (status == KL_OK && !older && !complete) {
        status = restored_begin(vault, prepared, state.generation, err);
    }
    if (status == KL_OK && (put_back || prepared < state.generation || !complete)) {
        status = rebuild_all(vault, state.generation, err);
    }
    return status; /* row "restored" goes when all that opens the vault is done (vault_upkeep_new) */
}
