#include "kms/root_place.h"

#include "kms/root_file.h"
#include "kms/token.h"
#include "kms/token_place.h"

enum kl_status kms_root_place_store(struct kms_root_place *place, uint64_t generation,
                                    const unsigned char key[KMS_KEY_BYTES], struct kl_err *err)
{
    return place->kind->store(place, generation, key, err);
}

enum kl_status kms_root_place_ready(struct kms_root_place *place, struct kl_err *err)
{
    return place->kind->ready == NULL ? KL_OK : place->kind->ready(place, err);
}

enum kl_status kms_root_place_load(struct kms_root_place *place, uint64_t generation,
                                   unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err)
{
    return place->kind->load(place, generation, ret_key, err);
}

size_t kms_root_place_rows(struct kms_root_place *place, uint64_t generation,
                           struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX])
{
    return place->kind->rows == NULL ? 0 : place->kind->rows(place, generation, ret_writes);
}

size_t kms_root_place_rows_leave(struct kms_root_place *place, uint64_t generation,
                                 struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX])
{
    return place->kind->rows_leave == NULL ? 0
                                           : place->kind->rows_leave(place, generation, ret_writes);
}

enum kl_status kms_root_place_wipe(struct kms_root_place *place, struct kl_err *err)
{
    return place->kind->wipe(place, err);
}

void kms_root_place_close(struct kms_root_place *place)
{
    if (place != NULL) {
        place->kind->close(place);
    }
}

enum kl_status kms_root_place_accept(const struct kms_root_place *place, struct kl_err *err)
{
    if (place->report.finality != KMS_FINALITY_F0 || place->accept_f0) {
        return KL_OK;
    }
    return kl_failf(err, KL_ERR_REFUSED, "finality_f0",
                    "an erasure would not be final where the root key lies (%s: %s); %s",
                    place->report.file_system, place->report.reason, place->report.advice);
}

enum kl_status kms_root_place_make(const struct kms_custodian_options *options,
                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                   const struct kms_storage *storage,
                                   struct kms_root_place **ret_place, struct kl_err *err)
{
    struct kms_custodian custodian;
    enum kl_status status;

    if (kms_token_is_named(options->custodian)) {
        return kms_token_place_make(options, store_id, storage, ret_place, err);
    }
    status = kms_custodian_parse(options, &custodian, err);
    if (status != KL_OK) {
        return status;
    }
    return kms_root_file_make(options, &custodian, store_id, ret_place, err);
}

enum kl_status kms_root_place_open(const struct kms_custodian_options *options,
                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                   const struct kms_storage *storage,
                                   struct kms_root_place **ret_place, struct kl_err *err)
{
    struct kms_custodian custodian;
    enum kl_status status;

    if (kms_token_is_named(options->custodian)) {
        return kms_token_place_open(options, store_id, storage, ret_place, err);
    }
    status = kms_custodian_parse(options, &custodian, err);
    if (status != KL_OK) {
        return status;
    }
    return kms_root_file_open(options, &custodian, store_id, ret_place, err);
}
