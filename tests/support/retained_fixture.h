/* Somebody of a vault_fixture whose records are held and who is erased. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_RETAINED_FIXTURE_H
#define KLUIS_TESTS_RETAINED_FIXTURE_H

#include "tests/support/vault_fixture.h"

#include <stddef.h>
#include <stdint.h>

/* Somebody with a client record {email, iban} and a newsletter record {email, first_name}. */
struct retained_somebody {
    struct kl_id subject;
    struct kl_id client;
    struct kl_id newsletter;
    uint64_t slot;
    uint64_t tenant;
};
struct retained_somebody retained_somebody_make(struct vault_fixture *fixture);

/* The time in so many days. */
int64_t retained_in_days(int64_t days);
/* Hold a record as that role; err in the fixture. */
enum kl_status retained_hold(struct vault_fixture *fixture, const char *role,
                             const struct retained_somebody *of, const struct kl_id *record,
                             const char *basis, int64_t until_us);
/* Erase the subject; what the answer says of the first retained record (ret_record may be NULL). Returns how many it names. */
size_t retained_erase(struct vault_fixture *fixture, const struct retained_somebody *of,
                      struct kl_id *ret_receipt, struct kl_id *ret_record);
/* What a crash between the rows that keep the client record and the erasure's commit leaves. Returns the receipt they name. */
struct kl_id retained_write_stale(struct vault_fixture *fixture, const struct retained_somebody *of,
                                  int64_t until_us);

#endif
