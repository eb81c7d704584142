#include "cli/common.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kl_status cli_custodian_passphrase(struct cli_call *call, const char *custodian,
                                        struct kl_buf *ret)
{
    const char *file = cli_call_value(call, "passphrase-file");
    bool new_one = strncmp(custodian, "passphrase:", 11) == 0;
    struct kl_buf again = {0};
    if (file == NULL && !new_one)
        return KL_OK;
    if (file != NULL) {
        enum kl_status read = cli_input_read(file, ret, &call->err);
        while (read == KL_OK && ret->size > 0 &&
               (ret->bytes[ret->size - 1] == '\n' || ret->bytes[ret->size - 1] == '\r'))
            ret->bytes[--ret->size] = '\0';
        return read;
    }
    enum kl_status status = cli_input_line("new passphrase of the root key", ret, &call->err);
    if (status == KL_OK && isatty(STDIN_FILENO)) {
        status = cli_input_line("again", &again, &call->err);
        if (status == KL_OK && !kl_slice_equal(kl_buf_slice(ret), kl_buf_slice(&again)))
            status = kl_fail(&call->err, KL_ERR_INVALID, "passphrases_differ",
                             "the two passphrases differ", NULL);
    }
    kl_buf_done(&again);
    return status;
}

void cli_custodian_write(const char *custodian, const char *country,
                         const struct kl_buf *passphrase, struct kl_json_out *out)
{
    kl_json_add_text(out, "custodian", custodian);
    kl_json_add_text(out, "country", country);
    if (passphrase->size > 0) {
        kl_json_key(out, "passphrase");
        kl_json_put_text_n(out, passphrase->bytes, passphrase->size);
    }
}

static enum kl_status send_change(struct cli_call *call, const char *custodian, const char *country,
                                  struct cli_response *ret)
{
    struct kl_buf passphrase = {0}, body;
    kl_buf_init(&body, 16384);
    enum kl_status status = cli_custodian_passphrase(call, custodian, &passphrase);
    if (status == KL_OK) {
        struct kl_json_out out = kl_json_out(&body);
        kl_json_object_begin(&out);
        cli_custodian_write(custodian, country, &passphrase, &out);
        kl_json_object_end(&out);
        struct cli_request request = {.body = &body};
        status = cli_call_send(call, "PUT", "/v1/keys/custodian", &request, ret);
    }
    kl_buf_done(&passphrase);
    kl_buf_done(&body);
    return status;
}

enum cli_exit cli_key_custodian(struct cli_call *call)
{
    static const struct cli_column columns[] = {
        {"CUSTODIAN", "custodian"}, {"GENERATION", "generation"}, {"FINALITY", "finality"}};
    const char *custodian = cli_call_value(call, "custodian");
    if (custodian == NULL) {
        (void)fprintf(
            stderr,
            "kluis: --custodian is needed: file:/PATH, passphrase:/PATH or pkcs11:URI, as the server sees it\n");
        return CLI_USAGE;
    }
    const char *country = cli_call_value(call, "country");
    if (country == NULL) {
        (void)fprintf(stderr, "kluis: --country is needed: where the custodian lies, such as IE\n");
        return CLI_USAGE;
    }
    struct cli_response response;
    if (send_change(call, custodian, country, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result =
        cli_output_rows(call, &response, NULL, columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    if (result == CLI_DONE && !call->quiet && !cli_call_is_set(call, "store"))
        (void)fprintf(stderr,
                      "change the server's configuration before its next start: custodian: %s\n",
                      custodian);
    return result;
}
