/* What the files of a dossier share: dossier.c decides and opens, dossier_tell.c writes down what is shown. Threads: as a dossier. */
#ifndef VAULT_DOSSIER_INTERNAL_H
#define VAULT_DOSSIER_INTERNAL_H

#include "vault/dossier.h"

/* What was decided on one field. */
struct vault_verdict {
    struct vault_decision decision;
    int purpose;
    enum vault_unportable unportable;
};

/*
 * One record that is told: where it lies in the subject, and what decisions hang on besides its type: for which purposes its clock has run out
 * (bits), and that somebody else provided it. Its fields' verdicts, in the order of the result's.
 */
struct vault_dossier_record {
    size_t at;
    int type;
    uint64_t ended;
    bool from_others;
    struct vault_record_result *result;
    struct vault_told_field *told;
    struct vault_verdict *verdicts;
    bool written; /* in an audit entry */
};

/* What is asked about the dossier's subject for one purpose. */
struct vault_query vault_dossier_query(const struct vault_dossier *dossier, int purpose);

#endif
