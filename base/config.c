#include "kluis/base/config.h"

#include "kluis/base/file.h"
#include "kluis/base/yaml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_NAME_BYTES (KL_CONFIG_PREFIX_MAX_CHARS + KL_CONFIG_NAME_MAX_CHARS + 1)

/* Where a value comes from; a higher one wins. */
enum source { SOURCE_NONE, SOURCE_FALLBACK, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct entry {
    enum source source;
    char **values; /* ended by NULL; NULL itself when count is 0 */
    size_t count;
    int64_t number;
    bool truth;
};

struct kl_config {
    const struct kl_config_key *keys;
    const char *environment_prefix;
    const char **names; /* of keys, ended by NULL */
    size_t count;
    struct entry *entries; /* one for each key */
};

/* Which value is being read, for messages. */
struct origin {
    enum source source;
    const char *prefix; /* of names as they are written there */
    const char *path;   /* of the file */
    unsigned line;
    unsigned column;
};

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "out of memory",
                   "no memory for the configuration");
}

/*
 * The name as it is written at its origin: tls-cert, KLUISD_TLS_CERT, --tls-cert. A long one is
 * cut.
 */
static void shown_name(const struct origin *origin, const char *name, char out[SHOWN_NAME_BYTES])
{
    (void)snprintf(out, SHOWN_NAME_BYTES, "%.*s%.*s", KL_CONFIG_PREFIX_MAX_CHARS, origin->prefix,
                   KL_CONFIG_NAME_MAX_CHARS, name);
    for (char *at = out; origin->source == SOURCE_ENVIRONMENT && *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z') {
            *at = (char)(*at - 'a' + 'A');
        } else if (*at == '-') {
            *at = '_';
        }
    }
}

/* Refuse what name is given at origin; text goes on after the name. */
static enum kl_status fail_origin(const struct origin *origin, const char *name, const char *text,
                                  struct kl_err *err)
{
    const char *code = origin->source == SOURCE_FLAG ? "usage" : "invalid_config";
    char shown[SHOWN_NAME_BYTES];

    shown_name(origin, name, shown);
    if (origin->source != SOURCE_FILE) {
        return kl_failf(err, KL_ERR_INVALID, code, "%s %s", shown, text);
    }
    kl_err_where(err, "%u:%u", origin->line, origin->column);
    return kl_failf(err, KL_ERR_INVALID, code, "%s:%u: %s %s", origin->path, origin->line, shown,
                    text);
}

static enum kl_status fail_unknown(const struct kl_config *config, const struct origin *origin,
                                   const char *name, struct kl_err *err)
{
    const char *near = kl_suggest(name, config->names);
    char shown[SHOWN_NAME_BYTES];
    char text[SHOWN_NAME_BYTES + 48] = "is not known";

    if (near != NULL) {
        shown_name(origin, near, shown);
        (void)snprintf(text, sizeof(text), "is not known; did you mean %s?", shown);
    }
    return fail_origin(origin, name, text, err);
}

static size_t find_key(const struct kl_config *config, const char *name)
{
    size_t i = 0;

    while (i < config->count && strcmp(config->names[i], name) != 0) {
        i++;
    }
    return i;
}

static void entry_clear(struct entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        free(entry->values[i]);
    }
    free(entry->values);
    *entry = (struct entry){.source = SOURCE_NONE};
}

static bool entry_append(struct entry *entry, const char *text)
{
    char **values = realloc(entry->values, (entry->count + 2) * sizeof(*values));

    if (values == NULL) {
        return false;
    }
    entry->values = values;
    values[entry->count + 1] = NULL;
    values[entry->count] = strdup(text);
    if (values[entry->count] == NULL) {
        return false;
    }
    entry->count++;
    return true;
}

static bool parse_int(const char *text, int64_t minimum, int64_t maximum, int64_t *ret_number)
{
    bool negative = text[0] == '-';
    const char *at = negative ? text + 1 : text;
    int64_t number = 0;

    if (*at == '\0') {
        return false;
    }
    for (; *at != '\0'; at++) {
        int digit = *at - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, negative ? -digit : digit, &number)) {
            return false;
        }
    }
    if (number < minimum || number > maximum) {
        return false;
    }
    *ret_number = number;
    return true;
}

static bool parse_bool(const char *text, bool *ret_truth)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        for (size_t truth = 0; truth < 2; truth++) {
            if (strcmp(text, words[i][truth]) == 0) {
                *ret_truth = truth == 1;
                return true;
            }
        }
    }
    return false;
}

static enum kl_status fail_value(const struct kl_config_key *key, const struct origin *origin,
                                 struct kl_err *err)
{
    char text[96] = "must be true or false";

    if (key->type == KL_CONFIG_INT) {
        (void)snprintf(text, sizeof(text), "must be a whole number from %" PRId64 " to %" PRId64,
                       key->minimum, key->maximum);
    }
    return fail_origin(origin, key->name, text, err);
}

/*
 * Take one value of key i. It replaces what an earlier source gave; more of a list from the same
 * source is appended when append.
 */
static enum kl_status take_value(struct kl_config *config, size_t i, const char *text, bool append,
                                 const struct origin *origin, struct kl_err *err)
{
    const struct kl_config_key *key = &config->keys[i];
    struct entry *entry = &config->entries[i];
    int64_t number = 0;
    bool truth = false;

    if ((key->type == KL_CONFIG_INT && !parse_int(text, key->minimum, key->maximum, &number)) ||
        (key->type == KL_CONFIG_BOOL && !parse_bool(text, &truth))) {
        return fail_value(key, origin, err);
    }
    if (origin->source < entry->source) {
        return KL_OK;
    }
    if (origin->source != entry->source || !append || key->type != KL_CONFIG_LIST) {
        entry_clear(entry);
    }
    entry->source = origin->source;
    entry->number = number;
    entry->truth = truth;
    return entry_append(entry, text) ? KL_OK : fail_memory(err);
}

/* A list of no values at all is set too, and hides what an earlier source gave. */
static void take_empty_list(struct kl_config *config, size_t i, enum source source)
{
    if (source >= config->entries[i].source) {
        entry_clear(&config->entries[i]);
        config->entries[i].source = source;
    }
}

/* Values with spaces between them. */
static enum kl_status take_words(struct kl_config *config, size_t i, const char *text,
                                 const struct origin *origin, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char *copy = strdup(text);
    char *rest = NULL;

    if (copy == NULL) {
        return fail_memory(err);
    }
    take_empty_list(config, i, origin->source);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL && status == KL_OK;
         word = strtok_r(NULL, " ", &rest)) {
        status = take_value(config, i, word, true, origin, err);
    }
    free(copy);
    return status;
}

static bool name_is_valid(const char *name)
{
    size_t chars = strlen(name);

    return chars > 0 && chars <= KL_CONFIG_NAME_MAX_CHARS &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == chars;
}

static enum kl_status take_fallbacks(struct kl_config *config)
{
    const struct origin origin = {.source = SOURCE_FALLBACK, .prefix = ""};
    enum kl_status status = KL_OK;

    for (size_t i = 0; i < config->count && status == KL_OK; i++) {
        const struct kl_config_key *key = &config->keys[i];

        assert(name_is_valid(key->name) && key->minimum <= key->maximum);
        config->names[i] = key->name;
        if (key->fallback != NULL) {
            status = key->type == KL_CONFIG_LIST
                         ? take_words(config, i, key->fallback, &origin, NULL)
                         : take_value(config, i, key->fallback, false, &origin, NULL);
        }
    }
    assert(status != KL_ERR_INVALID);
    return status;
}

struct kl_config *kl_config_new(const struct kl_config_key *keys, const char *environment_prefix)
{
    struct kl_config *config = calloc(1, sizeof(*config));

    assert(environment_prefix[0] != '\0' &&
           strlen(environment_prefix) <= KL_CONFIG_PREFIX_MAX_CHARS);
    if (config == NULL) {
        return NULL;
    }
    config->keys = keys;
    config->environment_prefix = environment_prefix;
    while (keys[config->count].name != NULL) {
        config->count++;
    }
    config->names = calloc(config->count + 1, sizeof(*config->names));
    config->entries = calloc(config->count + 1, sizeof(*config->entries));
    if (config->names == NULL || config->entries == NULL || take_fallbacks(config) != KL_OK) {
        kl_config_free(config);
        return NULL;
    }
    return config;
}

void kl_config_free(struct kl_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; config->entries != NULL && i < config->count; i++) {
        entry_clear(&config->entries[i]);
    }
    free(config->entries);
    free(config->names);
    free(config);
}

static enum kl_status take_scalar_node(struct kl_config *config, size_t i,
                                       const struct kl_yaml_node *node, bool append,
                                       const struct origin *origin, struct kl_err *err)
{
    if (node->kind != KL_YAML_SCALAR) {
        return fail_origin(origin, config->names[i],
                           config->keys[i].type == KL_CONFIG_LIST ? "must be a list of texts"
                                                                  : "must be a single value",
                           err);
    }
    if (node->text[0] == '\0' && !node->quoted) {
        return fail_origin(origin, config->names[i], "has no value", err);
    }
    return take_value(config, i, node->text, append, origin, err);
}

static enum kl_status take_node(struct kl_config *config, const struct kl_yaml_node *key,
                                const struct kl_yaml_node *node, const char *path,
                                struct kl_err *err)
{
    const struct origin origin = {.source = SOURCE_FILE,
                                  .prefix = "",
                                  .path = path,
                                  .line = key->line,
                                  .column = key->column};
    enum kl_status status = KL_OK;
    size_t i = find_key(config, key->text);

    if (i == config->count) {
        return fail_unknown(config, &origin, key->text, err);
    }
    if (config->keys[i].type != KL_CONFIG_LIST || node->kind != KL_YAML_SEQUENCE) {
        return take_scalar_node(config, i, node, false, &origin, err);
    }
    take_empty_list(config, i, SOURCE_FILE);
    for (size_t j = 0; j < node->count && status == KL_OK; j++) {
        status = take_scalar_node(config, i, node->items[j], true, &origin, err);
    }
    return status;
}

/* Nothing but comments and blank lines: a file as packages ship it. */
static bool says_nothing(const struct kl_buf *text)
{
    bool comment = false;

    for (size_t i = 0; i < text->size; i++) {
        unsigned char c = text->bytes[i];

        if (c == '\n') {
            comment = false;
        } else if (c == '#') {
            comment = true;
        } else if (!comment && c != ' ' && c != '\r') {
            return false;
        }
    }
    return true;
}

/* Parse the file; what the YAML reader says is said again with the path. */
static enum kl_status parse_file(const struct kl_buf *text, const char *path,
                                 struct kl_yaml **ret_yaml, struct kl_err *err)
{
    struct kl_err why = {0};
    enum kl_status status = kl_yaml_parse(text->bytes, text->size, ret_yaml, &why);

    if (status == KL_OK) {
        return KL_OK;
    }
    if (status == KL_ERR_NO_MEMORY) {
        return fail_memory(err);
    }
    kl_err_where(err, "%s", why.where);
    return kl_failf(err, KL_ERR_INVALID, "invalid_config", "%s:%s: %s", path, why.where,
                    why.client_text);
}

enum kl_status kl_config_read_file(struct kl_config *config, const char *path, struct kl_err *err)
{
    enum kl_status status;
    struct kl_buf text = {0};
    struct kl_yaml *yaml = NULL;
    const struct kl_yaml_node *root;

    status = kl_file_read(path, KL_CONFIG_FILE_MAX_BYTES, &text, err);
    if (status != KL_OK || says_nothing(&text)) {
        goto out;
    }
    status = parse_file(&text, path, &yaml, err);
    if (status != KL_OK) {
        goto out;
    }
    root = kl_yaml_root(yaml);
    if (root->kind != KL_YAML_MAPPING) {
        kl_err_where(err, "%u:%u", root->line, root->column);
        status = kl_failf(err, KL_ERR_INVALID, "invalid_config",
                          "%s:%u: lines of \"key: value\" are expected", path, root->line);
        goto out;
    }
    for (size_t i = 0; i < root->count && status == KL_OK; i++) {
        status = take_node(config, root->keys[i], root->items[i], path, err);
    }

out:
    kl_yaml_free(yaml);
    kl_buf_done(&text);
    return status;
}

/* TLS_CERT, behind the prefix, as tls-cert; false when it has a form that no key has. */
static bool key_of_variable(const char *variable, size_t chars,
                            char out[KL_CONFIG_NAME_MAX_CHARS + 1])
{
    if (chars > KL_CONFIG_NAME_MAX_CHARS) {
        return false;
    }
    for (size_t i = 0; i < chars; i++) {
        char c = variable[i];

        if (c >= 'A' && c <= 'Z') {
            out[i] = (char)(c - 'A' + 'a');
        } else if (c == '_') {
            out[i] = '-';
        } else if (c >= '0' && c <= '9') {
            out[i] = c;
        } else {
            return false;
        }
    }
    out[chars] = '\0';
    return true;
}

static enum kl_status take_variable(struct kl_config *config, const char *variable,
                                    struct kl_err *err)
{
    const struct origin origin = {.source = SOURCE_ENVIRONMENT,
                                  .prefix = config->environment_prefix};
    char name[KL_CONFIG_NAME_MAX_CHARS + 1];
    const char *equals = strchr(variable, '=');
    size_t i;

    if (equals == NULL) {
        return KL_OK;
    }
    if (!key_of_variable(variable, (size_t)(equals - variable), name)) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_config",
                        "a variable whose name begins with %s is not known: names are capital "
                        "letters, digits and _",
                        config->environment_prefix);
    }
    i = find_key(config, name);
    if (i == config->count) {
        return fail_unknown(config, &origin, name, err);
    }
    if (config->keys[i].type == KL_CONFIG_LIST) {
        return take_words(config, i, equals + 1, &origin, err);
    }
    return take_value(config, i, equals + 1, false, &origin, err);
}

enum kl_status kl_config_read_environment(struct kl_config *config, struct kl_err *err)
{
    const size_t prefix = strlen(config->environment_prefix);
    enum kl_status status = KL_OK;

    for (char **at = environ; at != NULL && *at != NULL && status == KL_OK; at++) {
        if (strncmp(*at, config->environment_prefix, prefix) == 0) {
            status = take_variable(config, *at + prefix, err);
        }
    }
    return status;
}

/*
 * One flag, its argument without the "--". ret_used: 1, or 2 when next (may be NULL) was its
 * value.
 */
static enum kl_status take_flag(struct kl_config *config, const char *flag, const char *next,
                                int *ret_used, struct kl_err *err)
{
    const struct origin origin = {.source = SOURCE_FLAG, .prefix = "--"};
    const char *equals = strchr(flag, '=');
    size_t chars = equals != NULL ? (size_t)(equals - flag) : strlen(flag);
    char name[KL_CONFIG_NAME_MAX_CHARS + 1];
    const char *value = equals != NULL ? equals + 1 : next;
    size_t i;

    (void)snprintf(name, sizeof(name), "%.*s", (int)(chars < sizeof(name) ? chars : 0), flag);
    i = find_key(config, name);
    if (i == config->count) {
        return fail_unknown(config, &origin, name, err);
    }
    *ret_used = 1;
    if (equals == NULL && config->keys[i].type == KL_CONFIG_BOOL) {
        value = "true";
    } else if (equals == NULL) {
        if (next == NULL || strncmp(next, "--", 2) == 0) {
            return fail_origin(&origin, name, "needs a value", err);
        }
        *ret_used = 2;
    }
    return take_value(config, i, value, true, &origin, err);
}

enum kl_status kl_config_read_flags(struct kl_config *config, int *argc, char **argv,
                                    struct kl_err *err)
{
    int kept = *argc > 0 ? 1 : 0;
    int i = kept;

    while (i < *argc && strcmp(argv[i], "--") != 0) {
        enum kl_status status;
        int used = 0;

        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[kept++] = argv[i++];
            continue;
        }
        if (argv[i][1] != '-') {
            return kl_failf(err, KL_ERR_INVALID, "usage",
                            "flags are written out and begin with \"--\"");
        }
        status = take_flag(config, argv[i] + 2, i + 1 < *argc ? argv[i + 1] : NULL, &used, err);
        if (status != KL_OK) {
            return status;
        }
        i += used;
    }
    for (i++; i < *argc; i++) {
        argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    *argc = kept;
    return KL_OK;
}

static size_t key_index(const struct kl_config *config, const char *name)
{
    size_t i = find_key(config, name);

    assert(i < config->count);
    return i;
}

static const struct entry *entry_of(const struct kl_config *config, const char *name,
                                    enum kl_config_type type)
{
    size_t i = key_index(config, name);

    assert(config->keys[i].type == type);
    return &config->entries[i];
}

const char *kl_config_text(const struct kl_config *config, const char *name)
{
    const struct entry *entry = entry_of(config, name, KL_CONFIG_TEXT);

    return entry->count > 0 ? entry->values[0] : NULL;
}

int64_t kl_config_int(const struct kl_config *config, const char *name)
{
    return entry_of(config, name, KL_CONFIG_INT)->number;
}

bool kl_config_bool(const struct kl_config *config, const char *name)
{
    return entry_of(config, name, KL_CONFIG_BOOL)->truth;
}

const char *const *kl_config_list(const struct kl_config *config, const char *name)
{
    static const char *const none[] = {NULL};
    const struct entry *entry = entry_of(config, name, KL_CONFIG_LIST);

    return entry->count > 0 ? (const char *const *)entry->values : none;
}

bool kl_config_is_set(const struct kl_config *config, const char *name)
{
    return config->entries[key_index(config, name)].source > SOURCE_FALLBACK;
}
