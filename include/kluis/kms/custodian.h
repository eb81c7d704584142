/*
 * What keeps the root key, and where. A custodian is named by text:
 *
 *   file:PATH        the root file, bare: who reads the file has the root key
 *   passphrase:PATH  the root file, each slot wrapped under a key that Argon2id (RFC 9106) makes of a passphrase
 *   pkcs11:URI       a PKCS#11 token: pkcs11:token=LABEL?module-path=FILE (RFC 7512), with pin-source=file:PATH or a PIN handed in
 *
 * The root file is two 4 KiB slots, overwritten in place and never moved.
 */
#ifndef KLUIS_KMS_CUSTODIAN_H
#define KLUIS_KMS_CUSTODIAN_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMS_CUSTODIAN_TEXT_MAX_BYTES 4096
#define KMS_PASSPHRASE_MIN_BYTES 8
#define KMS_PASSPHRASE_MAX_BYTES 1024

/* How final an overwrite of the root slot is (kms/README.md tells how it is found out). */
enum kms_finality {
    KMS_FINALITY_F0, /* old blocks may be kept: copy-on-write, data journal, unknown file system */
    KMS_FINALITY_F1, /* overwritten in place; checked at run time by the file's extents */
    KMS_FINALITY_F2, /* hardware token */
    KMS_FINALITY_F3  /* every mirror confirmed as well */
};
const char *kms_finality_name(enum kms_finality finality); /* "F0".."F3" */

/*
 * custodian            "file:PATH", "passphrase:PATH" (PATH absolute or relative to the working folder), "pkcs11:URI".
 * passphrase           for passphrase: KMS_PASSPHRASE_MIN..MAX_BYTES; for pkcs11: the PIN, 1..255 bytes, or NULL when the URI has a
 *                      pin-source; read, not kept. NULL for file:.
 * accept_f0            go on where the finality class is F0 (else refused with KL_ERR_REFUSED "finality_f0").
 * forbidden_dir        the data directory: a root file inside it is refused (KL_ERR_INVALID "root_file_in_data").
 * leftover_pin_file    kms_open: a file with the PIN of the token that a change of custodian left behind when it was cut short
 *                      ("custodian_leftover"); NULL else. A token that is left is not touched without it:
 *                      its URI comes from the key store, and the module in it would run in this process.
 * argon2_light         use libsodium's OPSLIMIT_MIN/MEMLIMIT_MIN when making a new file: for tests.
 */
struct kms_custodian_options {
    const char *custodian;
    const char *passphrase;
    size_t passphrase_bytes;
    bool accept_f0;
    bool argon2_light;
    const char *forbidden_dir;
    const char *leftover_pin_file;
};

/*
 * Whether nobody but the machine's administrator can have put the module of a pkcs11: custodian where it lies: the file, all folders above it, and
 * links on the way are root's, and nobody else may write to them. For an address that comes over a network: loading a module runs its code.
 * KL_ERR_INVALID "token_uri"; "token_module_untrusted", also when it is not there or the path is relative. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_custodian_module_trusted(const char *custodian, struct kl_err *err);

/*
 * The text of a custodian as it may be written down, in a trail: a path, or the address of a token without a PIN or where one is (pin-value,
 * pin-source), and without what RFC 7512 does not know. Empty for what names no custodian, which may be anything.
 */
void kms_custodian_text_public(const char *custodian,
                               char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1]);

/* What `kluisd doctor` says about the place of the root slot. reason and advice are texts for people; they name paths, no secrets. */
struct kms_custodian_report {
    enum kms_finality finality;
    char kind[16]; /* "file", "passphrase", "pkcs11" */
    char file_system
        [32];      /* "ext4", "xfs", "btrfs", "tmpfs", "overlayfs", "0x..."; of a token its label */
    bool in_place; /* the extents did not move and are not shared */
    uint64_t
        folder_device; /* of a root file that is open: st_dev and st_ino of its folder; else 0 */
    uint64_t folder_inode;
    char reason[256];
    char advice[256];
};

/*
 * Look at an existing root file, or a token (no PIN is needed); writes nothing but a rewrite in place of bytes that are there.
 * Errors: KL_ERR_INVALID, KL_ERR_NOT_FOUND, KL_ERR_IO.
 */
KL_MUST_USE enum kl_status kms_custodian_report(const struct kms_custodian_options *options,
                                                struct kms_custodian_report *ret_report,
                                                struct kl_err *err);

#endif
