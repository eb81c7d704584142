/* A SoftHSM token in a folder of its own. */
#ifndef KLUIS_TESTS_SOFTHSM_H
#define KLUIS_TESTS_SOFTHSM_H

#include <stdbool.h>
#include <stddef.h>

#define SOFTHSM_PIN "4711-pin"
#define SOFTHSM_URI_BYTES 512

struct softhsm {
    char folder[256];
    const char *module;          /* path of SoftHSM's module */
    char uri[SOFTHSM_URI_BYTES]; /* of the token "kluis-test" */
};

/* Makes the folder, points SOFTHSM2_CONF to it, makes the token. False when SoftHSM is not installed; aborts on any other failure. */
bool softhsm_start(struct softhsm *softhsm);
/* One more token beside the first; serials and slots differ, labels may not. */
void softhsm_add_token(const struct softhsm *softhsm, const char *label);
/* Removes the folder. */
void softhsm_end(struct softhsm *softhsm);
/* A URI of that token. */
void softhsm_uri(const struct softhsm *softhsm, const char *label, char ret_uri[SOFTHSM_URI_BYTES]);

#endif
