/*
 * The root file: two slots of 4 KiB, overwritten in place, never renamed.
 * Generation g lies in slot g mod 2; at rest one slot holds the root key in
 * use and the other a staged one that was never used. The layout is in
 * format.h.
 *
 * Threads: one at a time; the leader of a commit owns it.
 */
#ifndef KLUIS_KMS_ROOT_FILE_H
#define KLUIS_KMS_ROOT_FILE_H

#include "kluis/base/secret.h"
#include "kluis/kms/custodian.h"
#include "kms/finality.h"
#include "kms/geometry.h"

enum kms_root_kind { KMS_ROOT_BARE = 1, KMS_ROOT_PASSPHRASE = 2 };

struct kms_root_slot {
    enum kms_root_kind kind;
    uint32_t passes;
    uint64_t memory_bytes;
    uint64_t generation;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    unsigned char salt[KMS_ROOT_SALT_BYTES];
    unsigned char nonce[KMS_ROOT_NONCE_BYTES];
    unsigned char key[KMS_ROOT_WRAPPED_BYTES]; /* bare: the root key itself; wipe */
};

/* What a root file may ask of Argon2id; more is refused as corrupt. */
#define KMS_ROOT_PASSES_MAX 64
#define KMS_ROOT_MEMORY_MAX_BYTES (UINT64_C(4) << 30)

/* False when the bytes are not a whole slot of this version; ret_slot is untouched then. */
bool kms_root_slot_parse(const unsigned char bytes[KMS_ROOT_SLOT_BYTES],
                         struct kms_root_slot *ret_slot);
void kms_root_slot_write(const struct kms_root_slot *slot,
                         unsigned char ret_bytes[KMS_ROOT_SLOT_BYTES]);

/* "file:PATH" or "passphrase:PATH", taken apart and looked at. path points into options. */
struct kms_custodian {
    enum kms_root_kind kind;
    const char *path;
};
/* KL_ERR_INVALID "custodian_invalid", "passphrase_length", "root_file_in_data". */
KL_MUST_USE enum kl_status kms_custodian_parse(const struct kms_custodian_options *options,
                                               struct kms_custodian *ret_custodian,
                                               struct kl_err *err);

struct kms_root_file;

/*
 * Make the file (mode 0600) with generations 1 (in use) and 2 (staged), synced, and look at how it is overwritten.
 * KL_ERR_EXISTS "root_file_exists". KL_ERR_REFUSED "finality_f0" (the file is removed again). KL_ERR_INVALID as
 * kms_custodian_parse. KL_ERR_IO. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_root_file_create(const struct kms_custodian_options *options,
                                                const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                struct kms_root_file **ret_file,
                                                struct kl_err *err);
/*
 * Open, lock and read; writes nothing. The root key of generation is unwrapped.
 * Errors as kms_open(); KL_ERR_BUSY "root_file_locked" another process has it.
 */
KL_MUST_USE enum kl_status kms_root_file_open(const struct kms_custodian_options *options,
                                              const unsigned char store_id[KMS_STORE_ID_BYTES],
                                              uint64_t generation, struct kms_root_file **ret_file,
                                              struct kl_err *err);
/* Wipes; the file stays. NULL is fine. */
void kms_root_file_close(struct kms_root_file *file);

/* Overwrite the other slot with a fresh staged key of the next generation, whatever it held. After an error the process must end. */
KL_MUST_USE enum kl_status kms_root_file_restage(struct kms_root_file *file, struct kl_err *err);
/* Make ready what kms_root_file_advance() needs, so that memory cannot fail it. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_root_file_ready(struct kms_root_file *file, struct kl_err *err);
/*
 * Destroy the root key in use: its slot is overwritten with a fresh key of the generation after the staged one, synced; the staged key
 * is the one in use from now on. After kms_root_file_ready(). After an error the process must end.
 */
KL_MUST_USE enum kl_status kms_root_file_advance(struct kms_root_file *file, struct kl_err *err);

const unsigned char *kms_root_file_current(const struct kms_root_file *file);
const unsigned char *kms_root_file_staged(const struct kms_root_file *file);
uint64_t kms_root_file_generation(const struct kms_root_file *file);
/* Kept up with each overwrite: an extent that moved or is shared lowers the class to F0 until the file is opened again. */
void kms_root_file_report(const struct kms_root_file *file,
                          struct kms_custodian_report *ret_report);
/* KL_ERR_REFUSED "finality_f0" when the class is F0 and that was not accepted. */
KL_MUST_USE enum kl_status kms_root_file_accept(const struct kms_root_file *file,
                                                struct kl_err *err);

#endif
