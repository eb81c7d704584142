/* Values that are numbers or codes: phone numbers, decimal numbers, IBANs, IP addresses. */
#include "value_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>

#define PHONE_DIGITS_MIN 8
#define PHONE_DIGITS_MAX 15 /* ITU-T E.164 section 6 */
#define IBAN_MAX_CHARS 34   /* ISO 13616-1 */

enum kl_status vault_value_phone(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    char digits[PHONE_DIGITS_MAX + 1] = "";
    size_t count = 0;
    enum kl_status status = KL_OK;

    if (text.size == 0 || text.bytes[0] != '+')
        return vault_value_invalid(err, "a phone number starts with + and the country's code");
    for (size_t i = 1; i < text.size && status == KL_OK; i++) {
        unsigned char byte = text.bytes[i];
        if (byte == '(' && i + 2 < text.size && memcmp(text.bytes + i, "(0)", 3) == 0)
            status = vault_value_invalid(
                err, "a phone number leaves out the (0) that is not dialled from "
                     "abroad");
        else if (vault_value_is_digit(byte) && count < PHONE_DIGITS_MAX)
            digits[count++] = (char)byte;
        else if (vault_value_is_digit(byte) || byte == '\0' || strchr(" -().", byte) == NULL)
            status = vault_value_invalid(
                err, "a phone number is + and 8 to 15 digits; spaces, -, ( ) and "
                     ". may stand between them");
    }
    if (status == KL_OK && (count < PHONE_DIGITS_MIN || digits[0] == '0'))
        status =
            vault_value_invalid(err, "a phone number is + and 8 to 15 digits, the first not 0");
    if (status == KL_OK) {
        kl_buf_add_byte(ret, '+');
        kl_buf_add(ret, digits, count);
        status = kl_buf_status(ret, err);
    }
    sodium_memzero(digits, sizeof digits);
    return status;
}

/*
 * A JSON number (RFC 8259 section 6) taken apart: digits, and how many of them stand after the
 * point.
 */
struct number {
    bool negative;
    size_t digits_count;
    char digits[VALUE_NUMBER_MAX_CHARS];
    int after_point;
};

static bool read_digits(struct kl_slice text, size_t *at, struct number *number)
{
    const size_t start = *at;

    while (*at < text.size && vault_value_is_digit(text.bytes[*at])) {
        if (number->digits_count == sizeof number->digits)
            return false;
        number->digits[number->digits_count++] = (char)text.bytes[(*at)++];
    }
    return *at > start;
}

/* -99..99 is more than 40 characters can use. */
static bool read_exponent(struct kl_slice text, size_t *at, int *ret_exponent)
{
    bool negative = false;
    int value = 0;
    size_t digits = 0;

    if (*at < text.size && (text.bytes[*at] == '+' || text.bytes[*at] == '-'))
        negative = text.bytes[(*at)++] == '-';
    for (; *at < text.size && vault_value_is_digit(text.bytes[*at]); digits++) {
        value = value * 10 + (text.bytes[(*at)++] - '0');
        if (value > 99)
            return false;
    }
    *ret_exponent = negative ? -value : value;
    return digits > 0;
}

static bool read_number(struct kl_slice text, struct number *number)
{
    size_t at = 0;
    int exponent = 0;

    if (at < text.size && text.bytes[at] == '-') {
        number->negative = true;
        at++;
    }
    if (!read_digits(text, &at, number) || (number->digits_count > 1 && number->digits[0] == '0'))
        return false;
    if (at < text.size && text.bytes[at] == '.') {
        const size_t before = number->digits_count;
        at++;
        if (!read_digits(text, &at, number))
            return false;
        number->after_point = (int)(number->digits_count - before);
    }
    if (at < text.size && (text.bytes[at] == 'e' || text.bytes[at] == 'E')) {
        at++;
        if (!read_exponent(text, &at, &exponent))
            return false;
    }
    number->after_point -= exponent;
    return at == text.size;
}

/* Write without exponent; more than 40 characters are marked by a failed buffer. */
static void write_number(const struct number *number, struct kl_buf *ret)
{
    const int count = (int)number->digits_count;
    const int before_point = count - number->after_point;
    bool seen = false;

    for (int i = before_point < 1 ? before_point - 1 : 0; i < count || i < before_point; i++) {
        const char digit = i >= 0 && i < count ? number->digits[i] : '0';
        if (i == before_point)
            kl_buf_add_byte(ret, '.');
        if (digit != '0' || seen || i >= before_point - 1) {
            kl_buf_add_byte(ret, (unsigned char)digit);
            seen = true;
        }
    }
}

static bool is_zero(const struct number *number)
{
    for (size_t i = 0; i < number->digits_count; i++)
        if (number->digits[i] != '0')
            return false;
    return true;
}

enum kl_status vault_value_number(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    struct number number = {0};
    struct kl_buf out;
    enum kl_status status = KL_OK;

    kl_buf_init(&out, VALUE_NUMBER_MAX_CHARS);
    if (text.size > VALUE_NUMBER_MAX_CHARS || !read_number(text, &number)) {
        status = vault_value_invalid(err, "a number is a JSON number of at most 40 characters");
        goto out;
    }
    if (number.negative && !is_zero(&number))
        kl_buf_add_byte(&out, '-');
    write_number(&number, &out);
    if (kl_buf_status(&out, NULL) != KL_OK) {
        status =
            vault_value_invalid(err, "a number has at most 40 characters when written in full");
        goto out;
    }
    kl_buf_add(ret, out.bytes, out.size);
    status = kl_buf_status(ret, err);

out:
    sodium_memzero(&number, sizeof number);
    kl_buf_done(&out);
    return status;
}

void vault_value_number_shorten(struct kl_slice number, struct kl_buf *ret)
{
    if (memchr(number.bytes, '.', number.size) != NULL) {
        while (number.bytes[number.size - 1] == '0')
            number.size--;
        if (number.bytes[number.size - 1] == '.')
            number.size--;
    }
    kl_buf_add(ret, number.bytes, number.size);
}

/* ISO 13616 lengths as in the IBAN registry kept by SWIFT. */
static const struct iban_length {
    char country[3];
    unsigned char chars;
} iban_lengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24},
    {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18},
    {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27},
    {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20},
    {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20},
    {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24},
    {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
    {"YE", 30},
};

static size_t iban_length(const char *iban)
{
    for (size_t i = 0; i < sizeof iban_lengths / sizeof iban_lengths[0]; i++)
        if (memcmp(iban_lengths[i].country, iban, 2) == 0)
            return iban_lengths[i].chars;
    return 0;
}

/*
 * ISO/IEC 7064 MOD 97-10 over the IBAN with its first four characters moved to the end, letters as
 * 10..35.
 */
static bool iban_checks(const char *iban, size_t chars)
{
    unsigned rest = 0;

    for (size_t i = 0; i < chars; i++) {
        char c = iban[(i + 4) % chars];
        if (c >= 'A')
            rest = (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
        else
            rest = (rest * 10 + (unsigned)(c - '0')) % 97;
    }
    return rest == 1;
}

enum kl_status vault_value_iban(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    char iban[IBAN_MAX_CHARS + 1] = "";
    size_t chars = 0;
    enum kl_status status = KL_OK;

    for (size_t i = 0; i < text.size && status == KL_OK; i++) {
        unsigned char byte = text.bytes[i];
        if (byte == ' ')
            continue;
        if (byte >= 'a' && byte <= 'z')
            byte = (unsigned char)(byte - 'a' + 'A');
        if (chars == IBAN_MAX_CHARS ||
            !(vault_value_is_digit(byte) || (byte >= 'A' && byte <= 'Z')))
            status =
                vault_value_invalid(err, "an IBAN is at most 34 letters and digits, with spaces if "
                                         "you like");
        else
            iban[chars++] = (char)byte;
    }
    if (status == KL_OK && (chars < 5 || iban_length(iban) == 0))
        status =
            vault_value_invalid(err, "an IBAN starts with the code of a country that has IBANs");
    if (status == KL_OK && (!vault_value_is_digit((unsigned char)iban[2]) ||
                            !vault_value_is_digit((unsigned char)iban[3])))
        status = vault_value_invalid(err, "an IBAN has two check digits after the country's code");
    if (status == KL_OK && iban_length(iban) != chars)
        status = vault_value_invalid(err, "the IBAN has not the length that its country uses");
    if (status == KL_OK && !iban_checks(iban, chars))
        status = vault_value_invalid(
            err, "the IBAN's check digits do not fit; look for a typing mistake");
    if (status == KL_OK) {
        kl_buf_add(ret, iban, chars);
        status = kl_buf_status(ret, err);
    }
    sodium_memzero(iban, sizeof iban);
    return status;
}

/*
 * An IPv4-mapped IPv6 address (::ffff:192.0.2.1, what a dual-stack server notes for an IPv4
 * client) is kept as the IPv4 address it stands for; the deprecated IPv4-compatible form and zones
 * are refused.
 */
enum kl_status vault_value_ip(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    char input[INET6_ADDRSTRLEN] = "";
    char output[INET6_ADDRSTRLEN] = "";
    struct in_addr four = {0};
    struct in6_addr six = {0};
    enum kl_status status = KL_OK;

    if (text.size < sizeof input && memchr(text.bytes, 0, text.size) == NULL)
        memcpy(input, text.bytes, text.size);
    if (inet_pton(AF_INET, input, &four) == 1) {
        (void)inet_ntop(AF_INET, &four, output, sizeof output);
    } else if (inet_pton(AF_INET6, input, &six) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&six))
            (void)inet_ntop(AF_INET, &six.s6_addr[12], output, sizeof output);
        else if (!IN6_IS_ADDR_V4COMPAT(&six))
            (void)inet_ntop(AF_INET6, &six, output,
                            sizeof output); /* RFC 5952 as glibc writes it */
    }
    if (output[0] == '\0')
        status =
            vault_value_invalid(err, "an IP address is four decimal numbers or IPv6, without port, "
                                     "prefix or zone");
    if (status == KL_OK) {
        kl_buf_add_text(ret, output);
        status = kl_buf_status(ret, err);
    }
    sodium_memzero(input, sizeof input);
    sodium_memzero(output, sizeof output);
    sodium_memzero(&four, sizeof four);
    sodium_memzero(&six, sizeof six);
    return status;
}
