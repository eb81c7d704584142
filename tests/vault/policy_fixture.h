/* Reading a policy for a test: from a text, or from a file of the source tree. */
#ifndef KLUIS_TESTS_POLICY_FIXTURE_H
#define KLUIS_TESTS_POLICY_FIXTURE_H

#include "kluis/vault/policy.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_FILE_BYTES_MAX (2 * 1024 * 1024)

/* A file of the source tree, 0-terminated; the caller frees it. */
static inline char *policy_file(const char *path)
{
    const char *root = getenv("KLUIS_SOURCE_DIR");
    char full[1024];
    char *text = calloc(1, POLICY_FILE_BYTES_MAX);
    FILE *file;
    int length;

    assert_non_null(text);
    length = snprintf(full, sizeof full, "%s/%s", root != NULL ? root : ".", path);
    assert_in_range(length, 1, sizeof full - 1);
    file = fopen(full, "rb");
    if (file == NULL)
        fail_msg("%s cannot be read; KLUIS_SOURCE_DIR names the source tree", full);
    assert_int_not_equal(fread(text, 1, POLICY_FILE_BYTES_MAX - 1, file), 0);
    (void)fclose(file);
    return text;
}

/* A policy that has no errors. */
static inline struct vault_policy *policy_of(const char *text)
{
    static struct vault_findings findings;
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};

    if (vault_policy_parse(text, strlen(text), &findings, &policy, &err) != KL_OK)
        fail_msg("%s: %s\n%s", err.where, err.client_text, text);
    assert_non_null(policy);
    return policy;
}

static inline struct vault_policy *policy_of_file(const char *path)
{
    char *text = policy_file(path);
    struct vault_policy *policy = policy_of(text);

    free(text);
    return policy;
}

/* "type.field" -> its number. */
static inline int policy_field_of(const struct vault_policy *policy, const char *name)
{
    char record[2 * VAULT_NAME_MAX_BYTES];
    const char *dot = strchr(name, '.');
    int number;

    assert_non_null(dot);
    (void)snprintf(record, sizeof record, "%.*s", (int)(dot - name), name);
    number = vault_policy_record_find(policy, record);
    assert_true(number >= 0);
    number = vault_policy_field_find(policy, number, dot + 1);
    assert_true(number >= 0);
    return number;
}

#endif
