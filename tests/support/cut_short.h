/*
 * A commit of keys cut short: what is left of it is as after a crash at that point. From then on every erasure and rotation fails with
 * KL_ERR_UNAVAILABLE "cut_short", until vault_erasure_hooks_set(), or the vault is opened again.
 */
#ifndef KLUIS_TESTS_CUT_SHORT_H
#define KLUIS_TESTS_CUT_SHORT_H

#include "kluis/kms/kms.h"
#include "tests/support/vault_fixture.h"

/* Nothing is committed, and nothing prepared. */
void cut_short_before_the_commit(struct vault_fixture *fixture);
/* It is committed, and not prepared, published or finished. */
void cut_short_after_the_commit(struct vault_fixture *fixture);

/* The two as hooks, for tests that do something else in the others. */
enum kl_status cut_short_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err);
enum kl_status cut_short_finish(void *context, uint64_t generation, struct kms_request **requests,
                                size_t count, struct kl_err *err);

#endif
