/* Those to inform of a breach (GDPR art. 34): a line of CSV for each person whom the caller may be told of. */
#ifndef CLI_BREACH_PEOPLE_H
#define CLI_BREACH_PEOPLE_H

#include "cli/breach_join.h"
#include "cli/command.h"

/*
 * To --out or standard output. With --contact, these fields are read of each of them for --purpose, in the usual way: each read is in the trail, and what
 * is withheld is left empty. How many people are not in the list, and why, goes to standard error.
 */
enum cli_exit cli_breach_people(struct cli_call *call, const struct cli_breach *breach);

#endif
