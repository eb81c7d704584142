#include "kluis/base/trail.h"

#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(KL_TRAIL_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(KL_TRAIL_SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519");

/* ---- lines and members ---- */

static void line(struct kl_buf *ret, const void *bytes, size_t size)
{
    char text[KL_BASE64_CHARS(KL_TRAIL_SIGNATURE_BYTES) + 1];

    kl_base64(bytes, size, text);
    kl_buf_addf(ret, "%s\n", text);
}

static bool take_number(const struct kl_json_value *value, const char *key, uint64_t max,
                        uint64_t *ret)
{
    int64_t number = -1;

    if (!kl_json_int(kl_json_member(value, key), &number) || number < 0 || (uint64_t)number > max) {
        return false;
    }
    *ret = (uint64_t)number;
    return true;
}

/* A time as it was written, which is what was signed. */
static bool take_time(const struct kl_json_value *value, const char *key,
                      char ret[KL_TIME_TEXT_BYTES])
{
    const char *text = kl_json_text(kl_json_member(value, key));
    int64_t time_us = 0;

    if (text == NULL || strlen(text) >= KL_TIME_TEXT_BYTES ||
        kl_time_parse(text, strlen(text), &time_us, NULL) != KL_OK) {
        return false;
    }
    (void)snprintf(ret, KL_TIME_TEXT_BYTES, "%s", text);
    return true;
}

/* Lower case letters, digits and hyphens: no line feed that would move what is signed. */
static bool take_tenant(const char *text, char ret[KL_TRAIL_TENANT_MAX_BYTES + 1])
{
    if (text == NULL || strlen(text) > KL_TRAIL_TENANT_MAX_BYTES ||
        text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0') {
        return false;
    }
    (void)snprintf(ret, KL_TRAIL_TENANT_MAX_BYTES + 1, "%s", text);
    return true;
}

static bool signed_by(const struct kl_buf *text,
                      const unsigned char signature[KL_TRAIL_SIGNATURE_BYTES],
                      const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    return kl_buf_status(text, NULL) == KL_OK &&
           crypto_sign_verify_detached(signature, text->bytes, text->size, key) == 0;
}

/* ---- heads ---- */

void kl_trail_head_text(const struct kl_trail_head *head, struct kl_buf *ret)
{
    kl_buf_addf(ret, "kluis-audit-head-v1\n%s\n%llu\n", head->tenant,
                (unsigned long long)head->size);
    line(ret, head->root, sizeof head->root);
    kl_buf_addf(ret, "%s\n", head->at);
}

void kl_trail_head_write(const struct kl_trail_head *head, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "tenant", head->tenant);
    kl_json_add_int(&out, "size", (int64_t)head->size);
    kl_json_add_bytes(&out, "root_hash", head->root, sizeof head->root);
    kl_json_add_text(&out, "at", head->at);
    kl_json_add_bytes(&out, "public_key", head->key, sizeof head->key);
    kl_json_add_bytes(&out, "signature", head->signature, sizeof head->signature);
    kl_json_object_end(&out);
}

enum kl_status kl_trail_head_read(const struct kl_json_value *value, struct kl_trail_head *ret,
                                  struct kl_err *err)
{
    struct kl_trail_head head = {0};

    if (!take_tenant(kl_json_text(kl_json_member(value, "tenant")), head.tenant) ||
        !take_number(value, "size", INT64_MAX, &head.size) ||
        !kl_json_bytes(value, "root_hash", head.root, sizeof head.root) ||
        !take_time(value, "at", head.at) ||
        !kl_json_bytes(value, "public_key", head.key, sizeof head.key) ||
        !kl_json_bytes(value, "signature", head.signature, sizeof head.signature)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_head", "this is no head of an audit trail",
                       NULL);
    }
    *ret = head;
    return KL_OK;
}

bool kl_trail_head_holds(const struct kl_trail_head *head)
{
    struct kl_buf text;
    bool holds;

    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_text(head, &text);
    holds = signed_by(&text, head->signature, head->key);
    kl_buf_done(&text);
    return holds;
}

/* ---- links ---- */

void kl_trail_link_text(const struct kl_trail_link *link, struct kl_buf *ret)
{
    kl_buf_addf(ret, "kluis-audit-key-v1\n%s\n%lu\n%llu\n", link->tenant,
                (unsigned long)link->number, (unsigned long long)link->size);
    line(ret, link->root, sizeof link->root);
    kl_buf_addf(ret, "%s\n", link->at);
    line(ret, link->old_key, sizeof link->old_key);
    line(ret, link->new_key, sizeof link->new_key);
    if (link->has_backup_key) {
        line(ret, link->backup_key, sizeof link->backup_key);
    } else {
        kl_buf_add_text(ret, "-\n");
    }
}

void kl_trail_link_write(const struct kl_trail_link *link, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_int(&out, "number", link->number);
    kl_json_add_int(&out, "size", (int64_t)link->size);
    kl_json_add_bytes(&out, "root_hash", link->root, sizeof link->root);
    kl_json_add_text(&out, "at", link->at);
    kl_json_add_bytes(&out, "old_key", link->old_key, sizeof link->old_key);
    kl_json_add_bytes(&out, "new_key", link->new_key, sizeof link->new_key);
    if (link->has_backup_key) {
        kl_json_add_bytes(&out, "backup_key", link->backup_key, sizeof link->backup_key);
    } else {
        kl_json_add_text(&out, "backup_key", NULL);
    }
    kl_json_add_bytes(&out, "old_signature", link->old_signature, sizeof link->old_signature);
    kl_json_add_bytes(&out, "new_signature", link->new_signature, sizeof link->new_signature);
    kl_json_object_end(&out);
}

static bool take_backup_key(const struct kl_json_value *value, struct kl_trail_link *link)
{
    enum kl_json_type type = kl_json_type(kl_json_member(value, "backup_key"));

    link->has_backup_key = type == KL_JSON_TEXT;
    return type == KL_JSON_NULL ||
           kl_json_bytes(value, "backup_key", link->backup_key, sizeof link->backup_key);
}

enum kl_status kl_trail_link_read(const struct kl_json_value *value, const char *tenant,
                                  struct kl_trail_link *ret, struct kl_err *err)
{
    struct kl_trail_link link = {0};
    uint64_t number = 0;

    if (!take_tenant(tenant, link.tenant) ||
        !take_number(value, "number", KL_TRAIL_LINKS_MAX, &number) || number == 0 ||
        !take_number(value, "size", INT64_MAX, &link.size) ||
        !kl_json_bytes(value, "root_hash", link.root, sizeof link.root) ||
        !take_time(value, "at", link.at) ||
        !kl_json_bytes(value, "old_key", link.old_key, sizeof link.old_key) ||
        !kl_json_bytes(value, "new_key", link.new_key, sizeof link.new_key) ||
        !take_backup_key(value, &link) ||
        !kl_json_bytes(value, "old_signature", link.old_signature, sizeof link.old_signature) ||
        !kl_json_bytes(value, "new_signature", link.new_signature, sizeof link.new_signature)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_link",
                       "this is no change of the key of an audit trail", NULL);
    }
    link.number = (uint32_t)number;
    *ret = link;
    return KL_OK;
}

bool kl_trail_link_holds(const struct kl_trail_link *link, const struct kl_trail_link *before)
{
    struct kl_buf text;
    bool holds = before == NULL
                     ? link->number == 1
                     : link->number == before->number + 1 && link->size >= before->size &&
                           memcmp(link->old_key, before->new_key, sizeof link->old_key) == 0;

    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_link_text(link, &text);
    holds = holds && signed_by(&text, link->old_signature, link->old_key) &&
            signed_by(&text, link->new_signature, link->new_key);
    kl_buf_done(&text);
    return holds;
}
