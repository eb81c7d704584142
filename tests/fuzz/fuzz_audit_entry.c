/* Entries of the trail, from a disk that somebody else wrote to: read, and added up as of a credential that is reported on. And a stored review. */
#include "vault/audit_proof.h"
#include "vault/breach_tally.h"
#include "vault/review_row.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kl_slice text = kl_slice_of(data, size);
    struct vault_breach_tally *tally = vault_breach_tally_new(4);
    struct vault_review_span span = {.to = 77};
    struct vault_audit_said said;
    struct kl_id id;
    uint64_t seq;

    assert(tally != NULL);
    if (vault_audit_read(text, &said, NULL) == KL_OK) {
        assert(said.action != NULL && said.slot >= -1 && said.policy >= 0);
        for (seq = 0; seq < 2; seq++) {
            if (vault_breach_has_room(tally, said.slot, said.policy) &&
                vault_breach_add(tally, seq, &said, NULL) != KL_OK) {
                break;
            }
        }
        vault_audit_said_done(&said);
    }
    if (vault_audit_entry_id(text, &id, NULL) == KL_OK) {
        assert(size > KL_ID_DIGITS);
    }
    if (vault_review_parse(text, &span)) {
        assert(span.from < span.to);
    } else {
        assert(span.to == 77);
    }
    vault_breach_tally_free(tally);
    return 0;
}
