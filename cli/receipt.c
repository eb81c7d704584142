/* `kluis receipt`: shown by the server; checked from a file, without one. */
#include "kluis/base/receipt.h"
#include "cli/common.h"
#include "cli/receipt_words.h"
#include "kluis/base/encode.h"
#include "kluis/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX_BYTES (8u * 1024 * 1024)

enum cli_exit cli_receipt_show(struct cli_call *call)
{
    struct cli_path path;
    struct cli_response response;
    cli_path_start(&path, "/v1/erasures");
    cli_path_segment(&path, call->arguments[0]);
    if (cli_call_send(call, "GET", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_common_print_receipt(call, &response);
    cli_response_done(&response);
    return result;
}

/* What one verification works with. */
struct verifying {
    struct cli_call *call;
    struct kl_receipt *receipt;
    struct kl_json *keys; /* of a file of --key; NULL: it was a key alone */
    struct kl_receipt_person person;
    struct kl_receipt_trust trust;
    struct kl_receipt_checks checks;
};

/* ---- what is given ---- */

static size_t without_space(const unsigned char *bytes, size_t size)
{
    while (size > 0 && strchr(" \t\r\n", bytes[size - 1]) != NULL)
        size--;
    return size;
}

static bool decoded(const unsigned char *bytes, size_t size, unsigned char ret[KL_TRAIL_KEY_BYTES])
{
    return kl_base64_decode((const char *)bytes, without_space(bytes, size), ret,
                            KL_TRAIL_KEY_BYTES);
}

static enum kl_status no_key(struct verifying *verifying)
{
    return kl_fail(&verifying->call->err, KL_ERR_INVALID, "invalid_key",
                   "--key is a public key in base64url, or a file with one, with a signed head, or "
                   "with the keys of a trail",
                   NULL);
}

/* As `kluis audit head --format json` and GET /v1/audit/keys give it. */
static enum kl_status key_of_json(struct verifying *verifying, const struct kl_buf *text)
{
    if (kl_json_parse(text->bytes, text->size, &verifying->keys, NULL) != KL_OK)
        return no_key(verifying);
    const struct kl_json_value *root = kl_json_root(verifying->keys);
    const char *key = kl_json_text(kl_json_member(root, "public_key"));
    if (key == NULL ||
        !kl_base64_decode(key, strlen(key), verifying->trust.key, sizeof verifying->trust.key))
        return no_key(verifying);
    if (kl_json_type(kl_json_member(root, "links")) == KL_JSON_ARRAY)
        verifying->trust.keys = root;
    return KL_OK;
}

static enum kl_status take_key(struct verifying *verifying)
{
    const char *text = cli_call_value(verifying->call, "key");
    struct kl_buf file = {0};
    if (kl_base64_decode(text, strlen(text), verifying->trust.key, sizeof verifying->trust.key))
        return KL_OK;
    enum kl_status status = kl_file_read(text, KEYS_MAX_BYTES, &file, &verifying->call->err);
    if (status == KL_OK && !decoded(file.bytes, file.size, verifying->trust.key))
        status = key_of_json(verifying, &file);
    kl_buf_done(&file);
    return status;
}

static enum kl_status take_person(struct verifying *verifying)
{
    struct cli_call *call = verifying->call;
    const char *record = cli_call_value(call, "record");
    struct kl_buf secret = {0};
    if (!cli_call_is_set(call, "subject"))
        return KL_OK;
    enum kl_status status =
        kl_id_parse("sub", cli_call_value(call, "subject"), &verifying->person.subject, &call->err);
    verifying->person.has_record = record != NULL;
    if (status == KL_OK && record != NULL)
        status = kl_id_parse("rec", record, &verifying->person.record, &call->err);
    if (status == KL_OK)
        status = cli_input_read(cli_call_value(call, "secret"), &secret, &call->err);
    if (status == KL_OK && !decoded(secret.bytes, secret.size, verifying->person.secret))
        status = kl_fail(&call->err, KL_ERR_INVALID, "invalid_secret",
                         "the secret of a receipt is 32 bytes in base64url", NULL);
    kl_buf_done(&secret);
    verifying->trust.person = &verifying->person;
    return status;
}

static enum kl_status take_receipt(struct verifying *verifying)
{
    struct cli_call *call = verifying->call;
    struct kl_buf file = {0};
    enum kl_status status = cli_input_read(call->arguments[0], &file, &call->err);
    if (status == KL_OK)
        status = kl_receipt_read(file.bytes, file.size, &verifying->receipt, &call->err);
    kl_buf_done(&file);
    return status;
}

/* ---- what is told ---- */

static enum kl_status print_json(struct verifying *verifying)
{
    struct kl_buf text;
    struct kl_buf said;
    kl_buf_init(&text, 2 * KL_RECEIPT_FILE_MAX_BYTES);
    kl_buf_init(&said, KL_RECEIPT_FILE_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&text);
    kl_json_write_value(&said, kl_receipt_said(verifying->receipt));
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "holds", kl_receipt_holds(&verifying->checks));
    kl_json_key(&out, "checks");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < verifying->checks.count; i++) {
        const struct kl_receipt_check *check = &verifying->checks.items[i];
        kl_json_object_begin(&out);
        kl_json_add_text(&out, "code", check->code);
        kl_json_add_text(&out, "state", cli_receipt_state(check->state));
        kl_json_add_text(&out, "detail", check->detail);
        kl_json_object_end(&out);
    }
    kl_json_array_end(&out);
    kl_json_key(&out, "receipt");
    kl_json_put_raw(&out, said.bytes, said.size);
    kl_json_object_end(&out);
    enum kl_status status = kl_buf_status(&text, &verifying->call->err);
    if (status == KL_OK)
        (void)printf("%s\n", (const char *)text.bytes);
    kl_buf_done(&text);
    kl_buf_done(&said);
    return status;
}

static void print_csv(const struct verifying *verifying)
{
    static const char *const titles[] = {"CODE", "STATE", "DETAIL"};
    struct cli_table *table = cli_table_new(CLI_FORMAT_CSV, titles, 3);
    for (size_t i = 0; i < verifying->checks.count; i++) {
        const struct kl_receipt_check *check = &verifying->checks.items[i];
        const char *const cells[] = {check->code, cli_receipt_state(check->state), check->detail};
        cli_table_row(table, cells);
    }
    cli_table_print_free(table);
}

static enum kl_status print(struct verifying *verifying)
{
    switch (verifying->call->format) {
    case CLI_FORMAT_JSON:
        return print_json(verifying);
    case CLI_FORMAT_CSV:
        print_csv(verifying);
        break;
    case CLI_FORMAT_TABLE:
        cli_receipt_print(verifying->receipt, &verifying->checks);
        break;
    }
    return KL_OK;
}

/* ---- the command ---- */

static bool asked_rightly(const struct cli_call *call)
{
    if (!cli_call_is_set(call, "key"))
        (void)fprintf(stderr, "kluis: --key is needed: without a key that is known, anybody may "
                              "have signed it\n");
    else if (cli_call_is_set(call, "subject") != cli_call_is_set(call, "secret") ||
             (cli_call_is_set(call, "record") && !cli_call_is_set(call, "subject")))
        (void)fprintf(stderr,
                      "kluis: --subject and --secret go together, and --record with them\n");
    else
        return true;
    return false;
}

enum cli_exit cli_receipt_verify(struct cli_call *call)
{
    if (!asked_rightly(call))
        return CLI_USAGE;
    struct verifying *verifying = calloc(1, sizeof *verifying);
    if (verifying == NULL) {
        (void)kl_fail_memory(&call->err);
        return CLI_FAILED;
    }
    verifying->call = call;
    enum kl_status status = take_key(verifying);
    if (status == KL_OK)
        status = take_person(verifying);
    if (status == KL_OK)
        status = take_receipt(verifying);
    if (status == KL_OK)
        status =
            kl_receipt_check(verifying->receipt, &verifying->trust, &verifying->checks, &call->err);
    if (status == KL_OK)
        status = print(verifying);
    bool holds = status == KL_OK && kl_receipt_holds(&verifying->checks);
    kl_receipt_free(verifying->receipt);
    kl_json_free(verifying->keys);
    sodium_memzero(verifying, sizeof *verifying);
    free(verifying);
    return holds ? CLI_DONE : CLI_FAILED;
}
