/*
 * A vault driven by lines: each line of standard input is a request as it would come over HTTP, and each line of standard output its answer. No sockets,
 * no TLS, and a clock that is the test's, so that a script sees years pass and asks ten thousand questions in a second.
 *
 *   {"now":MICROSECONDS,"method":"GET","target":"/v1/…","token":"kl_…","if_match":"\"1\"","type":"application/yaml","body":"…"}
 *   -> {"status":200,"body":{…}}
 *   {"now":MICROSECONDS,"upkeep":true}          all that waits and all that is due is done (vault_upkeep_run())
 *   -> {"status":200,"body":null}
 *
 * The first line is written before any request: {"operator":"kl_…","steward":"kl_…"}. At the end of its input the program ends; so it does,
 * with abort(), when a line is not as above. The vault lies in a folder below TMPDIR that is removed at the end.
 *
 * What is written is not synced: the vault lives no longer than this process, and durability is another test's.
 */
#include "kluis/base/json.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "kluis/vault/admin.h"
#include "tests/support/api_call.h"
#include "tests/support/api_vault.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES (64u << 20)
/* 2019-01-01T12:00:00Z, when the vault is made: no history begins earlier. */
#define MADE_US INT64_C(1546344000000000)

static int64_t clock_us = MADE_US;

/* The linker puts these in the place of the real ones (KluisTests.cmake). */
int64_t __wrap_kl_time_now_us(void);
int64_t __wrap_kl_time_now_us(void)
{
    return clock_us;
}

/* These come before those of the C library, for RocksDB too. */
int fsync(int file)
{
    (void)file;
    return 0;
}

int fdatasync(int file)
{
    (void)file;
    return 0;
}

static const char *text_of(const struct kl_json_value *line, const char *key)
{
    return kl_json_text(kl_json_member(line, key));
}

static void answer(struct kl_buf *out, int status, const char *body)
{
    struct kl_json_out json = kl_json_out(out);

    kl_json_object_begin(&json);
    kl_json_add_int(&json, "status", status);
    kl_json_key(&json, "body");
    if (body[0] == '{' || body[0] == '[') {
        kl_json_put_raw(&json, body, strlen(body));
    } else {
        kl_json_put_null(&json);
    }
    kl_json_object_end(&json);
}

static void ask(struct api_app *app, const struct kl_json_value *line, struct kl_buf *out)
{
    struct test_call call = {.method = text_of(line, "method"),
                             .target = text_of(line, "target"),
                             .token = text_of(line, "token"),
                             .body = text_of(line, "body"),
                             .content_type = text_of(line, "type")};
    struct api_response response;

    assert(call.method != NULL && call.target != NULL);
    if (text_of(line, "if_match") != NULL) {
        call.headers[0] = (struct api_header){"If-Match", text_of(line, "if_match")};
    }
    test_call_make(app, &call, &response);
    answer(out, response.status, test_call_body(&response));
    api_response_done(&response);
}

static void upkeep(struct vault *vault, struct kl_buf *out)
{
    struct kl_err err = {0};
    enum kl_status status = vault_upkeep_run(vault, &err);

    if (status != KL_OK) {
        fprintf(stderr, "upkeep: %s %s\n", err.code, err.log_text);
    }
    answer(out, status == KL_OK ? 200 : 500, "");
}

static void line_do(struct api_app *app, struct vault *vault, const char *text, size_t size,
                    struct kl_buf *out)
{
    struct kl_json *json = NULL;
    const struct kl_json_value *line;

    if (kl_json_parse(text, size, &json, NULL) != KL_OK) {
        abort();
    }
    line = kl_json_root(json);
    if (!kl_json_int(kl_json_member(line, "now"), &clock_us)) {
        abort();
    }
    if (kl_json_bool(kl_json_member(line, "upkeep"))) {
        upkeep(vault, out);
    } else {
        ask(app, line, out);
    }
    kl_json_free(json);
}

int main(void)
{
    struct test_vault vault;
    struct api_app app;
    struct kl_buf out;
    char *line = NULL;
    size_t room = 0;
    ssize_t size;

    kl_log_level_set(KL_LOG_ERROR);
    test_vault_start(&vault);
    test_app_start(&app, vault.stores);
    kl_buf_init(&out, ANSWER_MAX_BYTES);
    printf("{\"operator\":\"%s\",\"steward\":\"%s\"}\n", vault.operator_token.text,
           vault.steward_token.text);
    (void)fflush(stdout);
    while ((size = getline(&line, &room, stdin)) > 0) {
        kl_buf_clear(&out);
        line_do(&app, vault.vault, line, (size_t)size, &out);
        kl_buf_add_byte(&out, '\n');
        assert(!out.failed);
        (void)fwrite(out.bytes, 1, out.size, stdout);
        (void)fflush(stdout);
    }
    free(line);
    kl_buf_done(&out);
    test_app_stop(&app);
    test_vault_stop(&vault);
    return 0;
}
