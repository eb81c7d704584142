/*
 * A receipt in words, for who has to explain it to the person, or to an
 * authority.
 */
#ifndef CLI_RECEIPT_WORDS_H
#define CLI_RECEIPT_WORDS_H

#include "kluis/base/receipt.h"

/* "ok", "failed", "open". */
const char *cli_receipt_state(enum kl_receipt_state state);
/* What was shredded, when, why, what is kept, whom to tell, how final it is; each check; and what comes of them. To stdout. */
void cli_receipt_print(const struct kl_receipt *receipt, const struct kl_receipt_checks *checks);

#endif
