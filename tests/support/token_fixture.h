/* A key store for a test (kms_fixture.h) whose root key a SoftHSM token keeps. A test fails where the looks below say no. */
#ifndef KLUIS_TESTS_TOKEN_FIXTURE_H
#define KLUIS_TESTS_TOKEN_FIXTURE_H

#include "kms/token.h"
#include "tests/support/kms_fixture.h"
#include "tests/support/softhsm.h"

extern struct softhsm token_fixture_hsm;

/* For cmocka: *state is a struct kms_fixture, made and opened on the token "kluis-test"; or only its folder, token and options. */
int token_fixture_setup(void **state);
int token_fixture_setup_empty(void **state);
int token_fixture_teardown(void **state);

/* The token, opened beside the key store; ended with kms_token_close(). */
struct kms_token *token_fixture_look(void);
/* The store id in the rows. */
void token_fixture_store(struct memory_storage *storage, unsigned char ret_id[KMS_STORE_ID_BYTES]);
/* The store's keys on the token are of exactly generation and the one after it. */
void token_fixture_holds(struct memory_storage *storage, uint64_t generation);
/* There is no secret key on the token. */
void token_fixture_holds_nothing(void);
/* There is one wrapped root key in the rows, of that generation. Returns where it lies. */
unsigned char *token_fixture_row(struct memory_storage *storage, uint64_t generation);

#endif
