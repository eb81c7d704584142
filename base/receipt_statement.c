/* What a receipt says: whole, without contradiction, alike in the text that was signed and around it, and about whom. */
#include "base/receipt_internal.h"

#include <sodium.h>
#include <string.h>

/* ---- the statement ---- */

static bool is_one_of(const struct kl_json_value *value, const char *const *words)
{
    const char *text = kl_json_text(value);

    while (text != NULL && *words != NULL && strcmp(text, *words) != 0) {
        words++;
    }
    return text != NULL && *words != NULL;
}

static bool is_time(const struct kl_json_value *value)
{
    const char *text = kl_json_text(value);
    int64_t time_us = 0;

    return text != NULL && kl_time_parse(text, kl_json_text_bytes(value), &time_us, NULL) == KL_OK;
}

static bool is_count(const struct kl_json_value *value)
{
    int64_t number = -1;

    return kl_json_int(value, &number) && number >= 0;
}

static bool is_kind(const struct kl_receipt *receipt, const char *kind)
{
    const char *text = kl_json_text(kl_json_member(receipt->said, "kind"));

    return text != NULL && strcmp(text, kind) == 0;
}

static bool is_null_or(const struct kl_json_value *value, enum kl_json_type type)
{
    return kl_json_type(value) == KL_JSON_NULL || kl_json_type(value) == type;
}

/* Who, when, why. NULL: nothing is wrong. */
static const char *wrong_head(const struct kl_receipt *receipt)
{
    static const char *const kinds[] = {"subject", "record", "retained", "tenant", NULL};
    static const char *const reasons[] = {"request",    "retention", "consent_withdrawn",
                                          "tenant_end", "other",     NULL};
    const struct kl_json_value *said = receipt->said;

    if (!is_one_of(kl_json_member(said, "kind"), kinds)) {
        return "it does not say of what kind it is";
    }
    if (kl_json_text(kl_json_member(said, "store")) == NULL ||
        !is_null_or(kl_json_member(said, "tenant"), KL_JSON_TEXT)) {
        return "it does not say of which store and tenant it is";
    }
    if (!is_time(kl_json_member(said, "erased_at"))) {
        return "it does not say when";
    }
    if (!is_one_of(kl_json_member(said, "reason"), reasons)) {
        return "it does not say why";
    }
    if (kl_json_type(kl_json_member(said, "request")) != KL_JSON_ABSENT &&
        !kl_receipt_is_id(kl_json_member(said, "request"), "req")) {
        return "the request that it answers has no id";
    }
    return is_kind(receipt, "retained") && !kl_receipt_is_id(kl_json_member(said, "of"), "er")
               ? "it does not say which erasure had kept what ended"
               : NULL;
}

static const char *wrong_lines(const struct kl_json_value *said)
{
    unsigned char commitment[KL_RECEIPT_COMMITMENT_BYTES];
    const struct kl_json_value *list = kl_json_member(said, "retained");
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *line = NULL;

    if (kl_json_type(list) != KL_JSON_ARRAY) {
        return "it does not say what is kept";
    }
    while (kl_json_next(&iter, NULL, &line)) {
        if (kl_json_text(kl_json_member(line, "basis")) == NULL ||
            !is_time(kl_json_member(line, "until")) ||
            !kl_json_bytes(line, "commitment", commitment, sizeof commitment)) {
            return "a line of what is kept lacks its basis, its end or its commitment";
        }
    }
    return NULL;
}

/* What went, what stays, who is to be told. */
static const char *wrong_erased(const struct kl_receipt *receipt)
{
    unsigned char commitment[KL_RECEIPT_COMMITMENT_BYTES];
    const struct kl_json_value *said = receipt->said;
    const struct kl_json_value *notify = kl_json_member(said, "notify");
    struct kl_json_iter iter = kl_json_iter(notify);
    const struct kl_json_value *name = NULL;

    if (!is_count(kl_json_member(said, "records_erased")) ||
        !is_count(kl_json_member(said, "fields_erased"))) {
        return "it does not say how much went";
    }
    if (kl_json_type(notify) != KL_JSON_ARRAY) {
        return "it does not say whom to tell";
    }
    while (kl_json_next(&iter, NULL, &name)) {
        if (kl_json_type(name) != KL_JSON_TEXT) {
            return "it does not say whom to tell";
        }
    }
    if (!kl_json_bytes(said, "commitment", commitment, sizeof commitment)) {
        return "it commits to nobody";
    }
    return wrong_lines(said);
}

static const char *wrong_tenant(const struct kl_json_value *said)
{
    unsigned char bytes[KL_MERKLE_HASH_BYTES];
    const struct kl_json_value *audit = kl_json_member(said, "audit");

    return !is_count(kl_json_member(audit, "size")) ||
                   !kl_json_bytes(audit, "root_hash", bytes, sizeof bytes) ||
                   !kl_json_bytes(said, "tenant_public_key", bytes, sizeof bytes)
               ? "it does not say how far the tenant's own trail came"
               : NULL;
}

static const char *wrong_mirrors(const struct kl_json_value *said)
{
    static const char *const classes[] = {"F0", "F1", "F2", "F3", NULL};
    const struct kl_json_value *mirrors = kl_json_member(said, "mirrors");
    const struct kl_json_value *pending = kl_json_member(mirrors, "pending");
    struct kl_json_iter iter = kl_json_iter(pending);
    const struct kl_json_value *id = NULL;
    const char *finality = kl_json_text(kl_json_member(said, "finality"));

    if (!is_one_of(kl_json_member(said, "finality"), classes)) {
        return "it does not say how final it is";
    }
    if (!is_count(kl_json_member(mirrors, "confirmed")) || kl_json_type(pending) != KL_JSON_ARRAY) {
        return "it does not say which mirrors have followed";
    }
    while (kl_json_next(&iter, NULL, &id)) {
        if (!kl_receipt_is_id(id, "mir")) {
            return "a mirror that has not followed has no id";
        }
    }
    return strcmp(finality, "F3") == 0 && kl_json_count(pending) > 0
               ? "it says that every mirror has followed (F3), and that one has not"
               : NULL;
}

/* Both hashes, or neither where an older version made the commit; receipts from before they were kept have no such member. */
static const char *wrong_roots(const struct kl_json_value *said)
{
    const struct kl_json_value *roots = kl_json_member(said, "key_tree_root");
    unsigned char from[KL_RECEIPT_COMMITMENT_BYTES];
    unsigned char to[KL_RECEIPT_COMMITMENT_BYTES];

    if (kl_json_type(roots) == KL_JSON_ABSENT ||
        (kl_json_type(kl_json_member(roots, "from")) == KL_JSON_NULL &&
         kl_json_type(kl_json_member(roots, "to")) == KL_JSON_NULL)) {
        return NULL;
    }
    if (!kl_json_bytes(roots, "from", from, sizeof from) ||
        !kl_json_bytes(roots, "to", to, sizeof to)) {
        return "it does not say what the key tree was before and after";
    }
    return memcmp(from, to, sizeof from) == 0
               ? "it says that the key tree was the same before and after"
               : NULL;
}

static const char *wrong_keys(const struct kl_json_value *said)
{
    const struct kl_json_value *generation = kl_json_member(said, "generation");
    int64_t from = 0;
    int64_t to = 0;

    if (!kl_json_int(kl_json_member(generation, "from"), &from) ||
        !kl_json_int(kl_json_member(generation, "to"), &to) || from < 1 || to - 1 != from) {
        return "its generation does not follow the one before it";
    }
    return wrong_roots(said);
}

void kl_receipt_check_statement(const struct kl_receipt *receipt, struct kl_receipt_checks *checks)
{
    const char *algorithm = kl_json_text(kl_json_member(receipt->said, "algorithm"));
    const char *wrong = wrong_head(receipt);

    if (wrong == NULL) {
        wrong = is_kind(receipt, "tenant") ? wrong_tenant(receipt->said) : wrong_erased(receipt);
    }
    if (wrong == NULL) {
        wrong = wrong_mirrors(receipt->said);
    }
    if (wrong == NULL) {
        wrong = wrong_keys(receipt->said);
    }
    if (wrong == NULL && (algorithm == NULL || strcmp(algorithm, "Ed25519") != 0)) {
        wrong = "it is signed by another algorithm than Ed25519";
    }
    kl_receipt_say(checks, "statement", wrong == NULL ? KL_RECEIPT_HOLDS : KL_RECEIPT_FAILED, "%s",
                   wrong == NULL ? "what it says is whole and does not contradict itself" : wrong);
}

/* ---- the answer around it ---- */

/* The lines of an answer name their records as well. */
static bool same_lines(const struct kl_json_value *around, const struct kl_json_value *said)
{
    static const char *const members[] = {"basis", "until", "commitment"};
    struct kl_json_iter iters[2] = {kl_json_iter(around), kl_json_iter(said)};
    const struct kl_json_value *lines[2] = {NULL, NULL};
    bool same = kl_json_type(around) == KL_JSON_ARRAY && kl_json_type(said) == KL_JSON_ARRAY &&
                kl_json_count(around) == kl_json_count(said);
    size_t i;

    while (same && kl_json_next(&iters[0], NULL, &lines[0]) &&
           kl_json_next(&iters[1], NULL, &lines[1])) {
        for (i = 0; i < sizeof members / sizeof members[0]; i++) {
            same = same && kl_receipt_same(kl_json_member(lines[0], members[i]),
                                           kl_json_member(lines[1], members[i]));
        }
    }
    return same;
}

/* Of those that stand around a signed text the first that is not as in it. */
static const char *differing(const struct kl_json_value *around, const struct kl_json_value *said,
                             const char *const *members)
{
    while (*members != NULL &&
           kl_receipt_same(kl_json_member(around, *members), kl_json_member(said, *members))) {
        members++;
    }
    return *members;
}

void kl_receipt_check_answer(const struct kl_receipt *receipt, struct kl_receipt_checks *checks)
{
    static const char *const outside[] = {"receipt",  "erased_at", "records_erased", "notify",
                                          "finality", "mirrors",   "request",        NULL};
    static const char *const inside[] = {"algorithm",  "public_key",    "commitment",
                                         "generation", "key_tree_root", NULL};
    const char *other = NULL;

    if (receipt->answer == NULL) {
        return;
    }
    other = differing(receipt->answer, receipt->said, outside);
    if (other == NULL) {
        other = differing(receipt->proof, receipt->said, inside);
    }
    if (other == NULL && !kl_receipt_same(kl_json_member(receipt->answer, "lookup_traces_until"),
                                          kl_json_member(receipt->said, "lookup_traces_until"))) {
        other = "lookup_traces_until";
    }
    if (other == NULL && !same_lines(kl_json_member(receipt->answer, "retained"),
                                     kl_json_member(receipt->said, "retained"))) {
        other = "retained";
    }
    if (other == NULL) {
        kl_receipt_say(checks, "answer", KL_RECEIPT_HOLDS,
                       "what stands around the signed text is what was signed");
    } else {
        kl_receipt_say(checks, "answer", KL_RECEIPT_FAILED,
                       "\"%s\" is not what was signed: go by the signed text", other);
    }
}

/* ---- about whom ---- */

/* Whom the answer itself names. False: it does not, or not with the secret. */
static bool person_of_answer(const struct kl_receipt *receipt, struct kl_receipt_person *ret)
{
    const struct kl_json_value *subject = kl_json_member(receipt->answer, "subject");
    const struct kl_json_value *record = kl_json_member(receipt->answer, "record");

    *ret = (struct kl_receipt_person){.has_record = kl_json_type(record) != KL_JSON_ABSENT};
    if (!kl_receipt_is_id(subject, "sub") ||
        kl_id_parse("sub", kl_json_text(subject), &ret->subject, NULL) != KL_OK ||
        !kl_json_bytes(receipt->answer, "subject_secret", ret->secret, sizeof ret->secret)) {
        return false;
    }
    return !ret->has_record ||
           (kl_receipt_is_id(record, "rec") &&
            kl_id_parse("rec", kl_json_text(record), &ret->record, NULL) == KL_OK);
}

static bool commits(const struct kl_json_value *value, const struct kl_receipt_person *person,
                    const struct kl_id *record)
{
    unsigned char said[KL_RECEIPT_COMMITMENT_BYTES];
    unsigned char own[KL_RECEIPT_COMMITMENT_BYTES];

    kl_receipt_commit(person->secret, &person->subject, record, own);
    return kl_json_bytes(value, "commitment", said, sizeof said) &&
           sodium_memcmp(said, own, sizeof own) == 0;
}

/* Of the lines that name their record in the answer. */
static bool lines_commit(const struct kl_receipt *receipt, const struct kl_receipt_person *person)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(receipt->answer, "retained"));
    const struct kl_json_value *line = NULL;
    const struct kl_json_value *id = NULL;
    struct kl_id record;

    while (kl_json_next(&iter, NULL, &line)) {
        id = kl_json_member(line, "record");
        if (kl_json_type(id) != KL_JSON_ABSENT &&
            (!kl_receipt_is_id(id, "rec") ||
             kl_id_parse("rec", kl_json_text(id), &record, NULL) != KL_OK ||
             !commits(line, person, &record))) {
            return false;
        }
    }
    return true;
}

static void check_commitment(const struct kl_receipt *receipt,
                             const struct kl_receipt_person *person,
                             struct kl_receipt_checks *checks)
{
    bool of_record = is_kind(receipt, "record") || is_kind(receipt, "retained");

    if (is_kind(receipt, "tenant")) {
        kl_receipt_say(checks, "person", KL_RECEIPT_FAILED,
                       "it is about a tenant as a whole, and about no person in particular");
    } else if (of_record && !person->has_record) {
        kl_receipt_say(checks, "person", KL_RECEIPT_FAILED,
                       "it is about one record: its id is needed to open the commitment");
    } else if (!commits(receipt->said, person, person->has_record ? &person->record : NULL)) {
        kl_receipt_say(checks, "person", KL_RECEIPT_FAILED,
                       "it is not about that person, or not with that secret");
    } else if (!lines_commit(receipt, person)) {
        kl_receipt_say(checks, "person", KL_RECEIPT_FAILED,
                       "it is about that person, and a line of what is kept is not about the "
                       "record that it names");
    } else {
        kl_receipt_say(checks, "person", KL_RECEIPT_HOLDS, "it is about that person%s",
                       of_record ? "'s record" : "");
    }
}

void kl_receipt_check_person(const struct kl_receipt *receipt,
                             const struct kl_receipt_person *person,
                             struct kl_receipt_checks *checks)
{
    struct kl_receipt_person named = {0};

    if (person != NULL) {
        check_commitment(receipt, person, checks);
    } else if (person_of_answer(receipt, &named)) {
        check_commitment(receipt, &named, checks);
    } else if (kl_json_type(kl_json_member(receipt->answer, "subject_secret")) != KL_JSON_ABSENT) {
        kl_receipt_say(checks, "person", KL_RECEIPT_FAILED, "whom the answer names cannot be read");
    } else if (!is_kind(receipt, "tenant")) {
        kl_receipt_say(checks, "person", KL_RECEIPT_OPEN,
                       "about whom it is was not looked at: that takes the person's id and the "
                       "secret that the answer to the erasure told once");
    }
    sodium_memzero(&named, sizeof named);
}
