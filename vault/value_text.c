/*
 * Text and e-mail addresses: Unicode normal forms (UAX #15), IDNA2008 (RFC 5891, UTS #46
 * non-transitional).
 */
#include "kluis/base/wipe_frees.h"
#include "value_internal.h"

#include <assert.h>
#include <idn2.h>
#include <sodium.h>
#include <string.h>
#include <utf8proc.h>

#define LOCAL_PART_MAX_BYTES 64 /* RFC 5321 section 4.5.3.1.1 */
#define DOMAIN_MAX_BYTES 253    /* RFC 1035 section 2.3.4, as text */
#define LABEL_MAX_BYTES 63
#define STACK_CODE_POINTS 256

static enum kl_status map_failed(utf8proc_ssize_t code, struct kl_err *err)
{
    if (code == UTF8PROC_ERROR_NOTASSIGNED)
        return kl_fail(
            err, KL_ERR_INVALID, "unassigned_character",
            "a value that can be looked up has only characters that Unicode has assigned", NULL);
    return vault_value_invalid(err, "a value is valid UTF-8");
}

static void encode(const utf8proc_int32_t *points, size_t count, struct kl_buf *ret)
{
    utf8proc_uint8_t bytes[4] = {0};

    for (size_t i = 0; i < count; i++) {
        utf8proc_ssize_t size = utf8proc_encode_char(points[i], bytes);
        kl_buf_add(ret, bytes, (size_t)size);
    }
    sodium_memzero(bytes, sizeof bytes);
}

enum kl_status vault_value_map(struct kl_slice text, unsigned options, struct kl_buf *ret,
                               struct kl_err *err)
{
    const utf8proc_option_t flags = (utf8proc_option_t)options;
    utf8proc_int32_t on_stack[STACK_CODE_POINTS];
    utf8proc_int32_t *points = on_stack;
    utf8proc_ssize_t count = 0;
    struct kl_buf heap;
    enum kl_status status = KL_OK;

    if (text.size == 0)
        return KL_OK;
    if ((options & (UTF8PROC_COMPAT | UTF8PROC_CASEFOLD)) == 0 && vault_value_is_ascii(text)) {
        kl_buf_add(ret, text.bytes, text.size);
        return kl_buf_status(ret, err);
    }
    assert(text.size <= VALUE_INPUT_MAX_BYTES);
    kl_buf_init(&heap, 32 * (size_t)VALUE_INPUT_MAX_BYTES);
    count = utf8proc_decompose(text.bytes, (utf8proc_ssize_t)text.size, on_stack, STACK_CODE_POINTS,
                               flags);
    if (count > STACK_CODE_POINTS) {
        points = (utf8proc_int32_t *)(void *)kl_buf_extend(&heap, (size_t)count * sizeof *points);
        if (points == NULL) {
            status = kl_buf_status(&heap, err);
            goto out;
        }
        count = utf8proc_decompose(text.bytes, (utf8proc_ssize_t)text.size, points, count, flags);
    }
    if (count >= 0)
        count = utf8proc_normalize_utf32(points, count, flags);
    if (count < 0) {
        status = map_failed(count, err);
        goto out;
    }
    encode(points, (size_t)count, ret);
    status = kl_buf_status(ret, err);

out:
    kl_buf_done(&heap);
    sodium_memzero(on_stack, sizeof on_stack);
    return status;
}

/* C0 and C1 controls and DEL, but for tab and line feed. */
static bool has_control(struct kl_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = text.bytes[i];
        if ((byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7f)
            return true;
        if (byte == 0xc2 && i + 1 < text.size && text.bytes[i + 1] < 0xa0)
            return true;
    }
    return false;
}

/* Browsers send line breaks of a form as CR LF; kept is LF. */
static void add_with_line_feeds(struct kl_slice text, struct kl_buf *ret)
{
    size_t from = 0;

    for (size_t i = 0; i + 1 < text.size; i++)
        if (text.bytes[i] == '\r' && text.bytes[i + 1] == '\n') {
            kl_buf_add(ret, text.bytes + from, i - from);
            from = i + 1;
        }
    kl_buf_add(ret, text.bytes + from, text.size - from);
}

enum kl_status vault_value_text(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_buf lines;
    enum kl_status status;

    kl_buf_init(&lines, VALUE_INPUT_MAX_BYTES);
    add_with_line_feeds(text, &lines);
    status = kl_buf_status(&lines, err);
    if (status == KL_OK && has_control(kl_buf_slice(&lines)))
        status = vault_value_invalid(err, "a text has no control characters but tab and line feed");
    if (status == KL_OK)
        status =
            vault_value_map(kl_buf_slice(&lines), UTF8PROC_STABLE | UTF8PROC_COMPOSE, ret, err);
    kl_buf_done(&lines);
    return status;
}

/* Spaces of other widths as U+0020; false: a control character or a broken one. */
static bool add_with_plain_spaces(struct kl_slice text, struct kl_buf *out)
{
    for (size_t at = 0; at < text.size;) {
        utf8proc_int32_t point = 0;
        utf8proc_ssize_t size =
            utf8proc_iterate(text.bytes + at, (utf8proc_ssize_t)(text.size - at), &point);
        utf8proc_category_t category;
        if (size <= 0)
            return false;
        category = utf8proc_category(point);
        if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
            category == UTF8PROC_CATEGORY_ZP)
            return false;
        if (category == UTF8PROC_CATEGORY_ZS)
            kl_buf_add_byte(out, ' ');
        else
            kl_buf_add(out, text.bytes + at, (size_t)size);
        at += (size_t)size;
    }
    return true;
}

enum kl_status vault_value_secret(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_buf plain;
    enum kl_status status = KL_OK;

    kl_buf_init(&plain, VALUE_INPUT_MAX_BYTES);
    if (!add_with_plain_spaces(text, &plain))
        status = vault_value_invalid(err, "a secret has no control characters and no line breaks");
    if (status == KL_OK)
        status = kl_buf_status(&plain, err);
    if (status == KL_OK)
        status = vault_value_map(kl_buf_slice(&plain),
                                 UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_REJECTNA, ret, err);
    kl_buf_done(&plain);
    return status;
}

/* A letter of RFC 5322 atext, a dot, or beyond ASCII (RFC 6531). */
static bool is_local_byte(unsigned char byte)
{
    if (byte >= 0x80 || vault_value_is_digit(byte) || (byte >= 'a' && byte <= 'z') ||
        (byte >= 'A' && byte <= 'Z'))
        return true;
    return byte != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", byte) != NULL;
}

/*
 * Beyond ASCII: letters, marks, numbers, punctuation and symbols, no spaces, controls or unassigned
 * ones.
 */
static bool has_odd_character(struct kl_slice text)
{
    for (size_t at = 0; at < text.size;) {
        utf8proc_int32_t point = 0;
        utf8proc_ssize_t size =
            utf8proc_iterate(text.bytes + at, (utf8proc_ssize_t)(text.size - at), &point);
        utf8proc_category_t category;
        if (size <= 0)
            return true;
        category = utf8proc_category(point);
        if (category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_ZS)
            return true;
        at += (size_t)size;
    }
    return false;
}

static enum kl_status check_local_part(struct kl_slice local, struct kl_err *err)
{
    if (local.size == 0 || local.size > LOCAL_PART_MAX_BYTES)
        return vault_value_invalid(err, "an e-mail address has 1 to 64 bytes before its @");
    if (local.bytes[0] == '.' || local.bytes[local.size - 1] == '.')
        return vault_value_invalid(err, "an e-mail address has no dot first or last before its @");
    for (size_t i = 0; i < local.size; i++) {
        if (!is_local_byte(local.bytes[i]))
            return vault_value_invalid(err,
                                       "an e-mail address has no spaces, quotes or brackets, and "
                                       "one @");
        if (local.bytes[i] == '.' && local.bytes[i + 1] == '.')
            return vault_value_invalid(err, "an e-mail address has no two dots side by side");
    }
    if (has_odd_character(local))
        return vault_value_invalid(err, "an e-mail address has no invisible characters");
    return KL_OK;
}

static bool is_label(const char *label, size_t size)
{
    if (size == 0 || size > LABEL_MAX_BYTES || label[0] == '-' || label[size - 1] == '-')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!vault_value_is_digit((unsigned char)label[i]) && (label[i] < 'a' || label[i] > 'z') &&
            label[i] != '-')
            return false;
    return true;
}

/*
 * RFC 1123 section 2.1: two labels or more, lower case; the last one is not a number, as an address
 * would have it.
 */
static bool is_host_name(const char *name)
{
    const char *label = name;
    const char *dot = NULL;

    if (strlen(name) > DOMAIN_MAX_BYTES)
        return false;
    while ((dot = strchr(label, '.')) != NULL) {
        if (!is_label(label, (size_t)(dot - label)))
            return false;
        label = dot + 1;
    }
    return label != name && is_label(label, strlen(label)) &&
           strspn(label, "0123456789") != strlen(label);
}

static void lower_ascii(uint8_t *text)
{
    for (; *text != '\0'; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (uint8_t)(*text - 'A' + 'a');
}

/* libidn2 drops what it does not allow instead of refusing it, so that is done here. */
static bool has_domain_characters(struct kl_slice domain)
{
    for (size_t i = 0; i < domain.size; i++) {
        const unsigned char byte = domain.bytes[i];
        if (byte < 0x80 && !vault_value_is_digit(byte) && !(byte >= 'a' && byte <= 'z') &&
            !(byte >= 'A' && byte <= 'Z') && byte != '-' && byte != '.')
            return false;
    }
    return !has_odd_character(domain);
}

/* More than libidn2 uses of the stack, where it leaves the domain as well. */
#define IDN2_STACK_BYTES ((size_t)16 * 1024)

static enum kl_status add_domain(struct kl_slice domain, struct kl_buf *ret, struct kl_err *err)
{
    char text[4 * VAULT_EMAIL_MAX_BYTES + 1];
    uint8_t *ascii = NULL;
    int code = IDN2_TOO_BIG_DOMAIN;
    enum kl_status status = KL_OK;

    if (domain.size > 0 && domain.size < sizeof text && has_domain_characters(domain)) {
        memcpy(text, domain.bytes, domain.size);
        text[domain.size] = '\0';
        kl_wipe_frees_begin(); /* it leaves the domain as code points in what it frees */
        code = idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
        kl_wipe_frees_end();
        sodium_stackzero(IDN2_STACK_BYTES);
    }
    if (code == IDN2_OK)
        lower_ascii(ascii);
    if (code == IDN2_MALLOC)
        status = kl_fail(err, KL_ERR_NO_MEMORY, "server_busy", "the server is busy", "idn2");
    else if (code != IDN2_OK || !is_host_name((const char *)ascii))
        status =
            vault_value_invalid(err, "an e-mail address ends in a domain name such as example.org");
    if (status == KL_OK) {
        kl_buf_add_text(ret, (const char *)ascii);
        status = kl_buf_status(ret, err);
    }
    if (ascii != NULL)
        sodium_memzero(ascii, strlen((const char *)ascii));
    idn2_free(ascii);
    sodium_memzero(text, sizeof text);
    return status;
}

enum kl_status vault_value_email(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_buf local;
    size_t at = text.size;
    enum kl_status status;

    kl_buf_init(&local, 4 * VAULT_EMAIL_MAX_BYTES);
    while (at > 0 && text.bytes[at - 1] != '@')
        at--;
    if (at == 0) {
        status = vault_value_invalid(err, "an e-mail address has an @");
        goto out;
    }
    status = vault_value_map(kl_slice_of(text.bytes, at - 1), UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                             &local, err);
    if (status == KL_OK)
        status = check_local_part(kl_buf_slice(&local), err);
    if (status != KL_OK)
        goto out;
    kl_buf_add(ret, local.bytes, local.size);
    kl_buf_add_byte(ret, '@');
    status = add_domain(kl_slice_of(text.bytes + at, text.size - at), ret, err);

out:
    kl_buf_done(&local);
    return status;
}
