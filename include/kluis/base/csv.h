/*
 * Cells of CSV (RFC 4180) that no spreadsheet runs: a text that begins as a formula gets an apostrophe before it, there and wherever a
 * program that splits lines elsewhere than at commas would begin a cell: behind , ; | tab CR LF, and behind quotes and spaces that follow them.
 * Formulas begin with = + - @, which some take in their full-width forms (U+FF1D, U+FF0B, U+FF0D, U+FF20) as well; an apostrophe gets one
 * more, so that the first can always be taken off.
 *
 * Threads: any; it has no state.
 */
#ifndef KLUIS_BASE_CSV_H
#define KLUIS_BASE_CSV_H

#include "kluis/base/buf.h"

/* Append text in quotes. Whatever bytes it has; a buffer that cannot hold it says so (kl_buf_status()). */
void kl_csv_put(struct kl_buf *out, struct kl_slice text);

#endif
