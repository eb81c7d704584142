/*
 * The decision: what it costs to ask a policy of 50 roles, 40 purposes and 300 fields about one field, beside a BLAKE2b of 64
 * bytes, less than a read does for each field anyway.
 *
 *     build/release/bench/bench_decide
 */
#include "kluis/base/buf.h"
#include "kluis/base/time.h"
#include "kluis/vault/policy.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLES 50
#define GRANTS 12
#define PURPOSES 40
#define RECORDS 20
#define FIELDS_EACH 15
#define FIELDS (RECORDS * FIELDS_EACH)
#define QUERIES 4096
#define ROUNDS 500
#define TEXT_BYTES (1024 * 1024)

static void add(struct kl_buf *text, const char *format, ...) KL_PRINTF(2, 3);
static void add(struct kl_buf *text, const char *format, ...)
{
    char line[4096];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    kl_buf_add_text(text, line);
}

static void add_list(struct kl_buf *text, const char *prefix, unsigned max, unsigned count)
{
    unsigned first = randombytes_uniform(max);

    for (unsigned i = 0; i < count; i++) {
        add(text, "%s%s%u", i == 0 ? "" : ", ", prefix, (first + i) % max);
    }
}

/* Every kind of basis, clocks, a transfer line, conditions: as a large organisation would have it. */
static void write_policy(struct kl_buf *text)
{
    static const char *const bases[] = {"consent", "contract", "legitimate_interest",
                                        "legal_obligation"};

    add(text,
        "policy: large\nversion: 1\n"
        "controller: { name: Large BV, country: NL, contact: privacy@large.example }\n"
        "residency: { default: EEA, transfers: [{ to: [US], mechanism: standard_clauses, view: token }] }\n"
        "records:\n");
    for (unsigned record = 0; record < RECORDS; record++) {
        add(text, "  r%u:\n    fields:\n", record);
        for (unsigned field = 0; field < FIELDS_EACH; field++) {
            add(text, "      f%u: { type: text }\n", field);
        }
        add(text, "    purposes: [");
        add_list(text, "p", PURPOSES, 20);
        add(text, "]\n");
    }
    add(text, "purposes:\n");
    for (unsigned purpose = 0; purpose < PURPOSES; purpose++) {
        add(text, "  p%u: { basis: %s, retain: P%uY after e%u }\n", purpose, bases[purpose % 4],
            1 + purpose % 9, purpose % 5);
    }
    add(text, "roles:\n");
    for (unsigned role = 0; role < ROLES; role++) {
        add(text, "  role%u:\n", role);
        for (unsigned grant = 0; grant < GRANTS; grant++) {
            add(text, "    - { do: [read, lookup], fields: [r%u.*], for: [",
                randombytes_uniform(RECORDS));
            add_list(text, "p", PURPOSES, 8);
            add(text, "], view: %s%s }\n", grant % 3 == 0 ? "masked" : "plain",
                grant % 4 == 0 ? ", when: { location: eea }" : "");
        }
    }
}

static int compare(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;

    return (*a > *b) - (*a < *b);
}

static void say(const char *what, double *ns)
{
    qsort(ns, ROUNDS, sizeof *ns, compare);
    printf("  %-34s p50 %7.1f ns   p99 %7.1f ns\n", what, ns[ROUNDS / 2], ns[ROUNDS * 99 / 100]);
}

int main(void)
{
    static struct vault_findings findings;
    static struct vault_query queries[QUERIES];
    static struct vault_facts facts[QUERIES];
    static int fields[QUERIES];
    static double decide_ns[ROUNDS];
    static double hash_ns[ROUNDS];
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};
    struct kl_buf text;
    unsigned char block[64] = {1};
    unsigned shown = 0;

    if (sodium_init() < 0) {
        return 1;
    }
    kl_buf_init(&text, TEXT_BYTES);
    write_policy(&text);
    if (vault_policy_parse(text.bytes, text.size, &findings, &policy, &err) != KL_OK) {
        fprintf(stderr, "bench_decide: %s\n", err.client_text);
        return 1;
    }
    for (size_t i = 0; i < QUERIES; i++) {
        queries[i] = (struct vault_query){.role = (int)randombytes_uniform(ROLES),
                                          .action = VAULT_ACTION_READ,
                                          .purpose = (int)randombytes_uniform(PURPOSES),
                                          .credential_purposes = UINT64_MAX,
                                          .recipient = VAULT_NONE,
                                          .now_us = kl_time_now_us()};
        randombytes_buf(&facts[i].consents, sizeof facts[i].consents);
        randombytes_buf(&facts[i].ended, sizeof facts[i].ended);
        fields[i] = (int)randombytes_uniform(FIELDS);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        int64_t start_us = kl_time_monotonic_us();

        for (size_t i = 0; i < QUERIES; i++) {
            shown += vault_policy_decide(policy, &queries[i], &facts[i], fields[i]).withheld ==
                     VAULT_GATE_NONE;
        }
        decide_ns[round] = (double)(kl_time_monotonic_us() - start_us) * 1000.0 / QUERIES;
        start_us = kl_time_monotonic_us();
        for (size_t i = 0; i < QUERIES; i++) {
            crypto_generichash(block, sizeof block, block, sizeof block, NULL, 0);
        }
        hash_ns[round] = (double)(kl_time_monotonic_us() - start_us) * 1000.0 / QUERIES;
    }
    printf(
        "%d roles of %d grants, %d purposes, %d fields; %d decisions a round, %d rounds; %.1f %% shown\n",
        ROLES, GRANTS, PURPOSES, FIELDS, QUERIES, ROUNDS,
        100.0 * shown / ((double)QUERIES * ROUNDS));
    say("a decision about one field", decide_ns);
    say("a BLAKE2b-512 of 64 bytes", hash_ns);
    vault_policy_unref(policy);
    kl_buf_done(&text);
    return block[0] == 0 && shown == 0;
}
