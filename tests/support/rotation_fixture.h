/* A tenant that has lived, the pages of its keys, and rotations of them that are jobs. A test fails where a call that returns nothing does not work. */
#ifndef KLUIS_TESTS_ROTATION_FIXTURE_H
#define KLUIS_TESTS_ROTATION_FIXTURE_H

#include "kluis/base/json.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/memory_storage.h"
#include "vault/vault_internal.h"

#include <stddef.h>
#include <stdint.h>

#define ROTATION_TEXT_BYTES 65536
#define ROTATION_SLOTS 3000
#define ROTATION_SEALED 40

/* ---- a tenant that has lived ---- */

struct rotation_lived {
    uint64_t tenant;
    uint64_t first; /* of ROTATION_SLOTS slots */
    struct kl_buf sealed[ROTATION_SEALED];
};

/* Values sealed under many slots, and of as many others one value shredded, so that their pages are written out. */
void rotation_live(struct admin_fixture *fixture, struct rotation_lived *lived);
/* Where the i-th of the ROTATION_SEALED values is. */
struct kms_place rotation_place(const struct rotation_lived *lived, uint64_t i);
void rotation_shred(struct vault *vault, struct kms_place place);
/* All that was sealed opens, and what was shredded does not. */
void rotation_assert_alive(struct admin_fixture *fixture, struct rotation_lived *lived);
void rotation_lived_done(struct rotation_lived *lived);

/* ---- pages ---- */

/* Rows of pages as they were at one time; pages ends with memory_storage_free(). */
struct rotation_rows {
    struct memory_storage *pages;
    size_t count;
    size_t of_tenant;
    uint64_t tenant;
};
struct rotation_rows rotation_rows_now(struct admin_fixture *fixture, uint64_t tenant);
/* How many rows that were there then are there now, byte for byte; of the tenant, or of all. */
size_t rotation_rows_as_before(struct rotation_rows *before, struct rotation_rows *now, bool all);
/* Who has the pages of then and of now, and the root file as it is: how many of the pages open. */
size_t rotation_pages_that_open(struct admin_fixture *fixture, struct rotation_rows *before,
                                struct rotation_rows *now);

/* ---- asking ---- */

/* What a call wrote; ends with kl_json_free(). */
struct kl_json *rotation_parsed(const struct kl_buf *text);
int64_t rotation_number(const struct kl_json *json, const char *key);
double rotation_progress(const struct kl_json *json);
/* tenant NULL: none named. Ends with vault_caller_done(). */
struct vault_caller rotation_operator(struct admin_fixture *fixture, const char *tenant);
/* Ask for a rotation, of the tenant "default" where the level is one's; its id. */
struct kl_id rotation_ask(struct admin_fixture *fixture, const char *level, uint32_t rate);
/* How it is; ends with kl_json_free(). */
struct kl_json *rotation_look(struct admin_fixture *fixture, const struct kl_id *id);
void rotation_assert_running(struct admin_fixture *fixture, const struct kl_id *id);
void rotation_assert_done(struct admin_fixture *fixture, const struct kl_id *id);
/* One round of the upkeep, here. */
void rotation_run(struct admin_fixture *fixture);

#endif
