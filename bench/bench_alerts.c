/*
 * Alerts: what it costs a read that its entry is looked at, by one thread and by several at once with one credential and with one each, and how
 * that is in a table full of other credentials.
 *
 *     build/release/bench/bench_alerts
 */
#include "kluis/base/time.h"
#include "vault/alerts.h"
#include "vault/vault_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READS 2000000
#define THREADS_MAX 4

/* Nothing is told: what is measured is every read but the one in an hour that tells. */
static const char policy_text[] =
    "policy: bench\n"
    "version: 1\n"
    "controller: { name: Bench BV, country: NL, contact: privacy@bench.example }\n"
    "records: { person: { fields: { name: { type: text } }, purposes: [service] } }\n"
    "purposes: { service: { basis: contract } }\n"
    "roles: { reader: [ { do: [read], fields: [\"*\"], for: [service] } ] }\n"
    "alerts: { volume: { bulk: 1000000, per_hour: 1000000 }, hours: 00:00-23:59 Europe/Brussels }\n";

struct reader {
    struct vault *vault;
    struct vault_caller caller;
    pthread_t thread;
};

static void *read_all(void *context)
{
    struct reader *reader = context;
    struct vault_audit_entry entry = {.caller = &reader->caller,
                                      .meaning = VAULT_AUDIT_MEANS_SHOWN};
    struct vault_audit_entry *entries[1] = {&entry};

    for (long i = 0; i < READS; i++) {
        /* a credential of its own now and then, so that no bucket runs dry */
        if (i % 500000 == 0) {
            reader->caller.credential.bytes[7]++;
        }
        vault_alerts_see(reader->vault, entries, 1);
    }
    return NULL;
}

static void measure(struct vault *vault, struct vault_policy *policy, size_t threads, bool shared,
                    const char *what)
{
    struct reader readers[THREADS_MAX] = {{0}};
    struct kl_id one = kl_id_new();
    int64_t began_us = 0;

    for (size_t i = 0; i < threads; i++) {
        readers[i].vault = vault;
        readers[i].caller =
            (struct vault_caller){.tenant = 1,
                                  .policy = policy,
                                  .role = 0,
                                  .credential = shared ? one : kl_id_new(),
                                  .now_us = INT64_C(1767261600000000)}; /* 2026-01-01 10:00 */
    }
    began_us = kl_time_monotonic_us();
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&readers[i].thread, NULL, read_all, &readers[i]) != 0) {
            exit(1);
        }
    }
    for (size_t i = 0; i < threads; i++) {
        (void)pthread_join(readers[i].thread, NULL);
    }
    printf("%-52s %6.1f ns a read\n", what,
           (double)(kl_time_monotonic_us() - began_us) * 1000.0 / READS);
}

static void fill(struct vault *vault, struct vault_policy *policy)
{
    struct vault_caller caller = {.tenant = 1, .policy = policy, .role = 0, .now_us = 1};
    struct vault_audit_entry entry = {.caller = &caller, .meaning = VAULT_AUDIT_MEANS_REFUSED};
    struct vault_audit_entry *entries[1] = {&entry};

    for (size_t i = 0; i < (size_t)4 * VAULT_ALERTS_PLACES; i++) {
        caller.credential = kl_id_new();
        vault_alerts_see(vault, entries, 1);
    }
}

int main(void)
{
    struct vault *vault = calloc(1, sizeof *vault);
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};

    if (vault == NULL || findings == NULL || (vault->alerts = vault_alerts_new()) == NULL ||
        vault_policy_parse(policy_text, strlen(policy_text), findings, &policy, &err) != KL_OK) {
        fprintf(stderr, "bench_alerts: %s\n", err.client_text);
        return 1;
    }
    measure(vault, policy, 1, true, "one thread");
    measure(vault, policy, 2, true, "2 threads, one credential (wall time)");
    measure(vault, policy, 2, false, "2 threads, a credential each (wall time)");
    fill(vault, policy);
    measure(vault, policy, 1, true, "one thread, the table full of others");
    vault_policy_unref(policy);
    vault_alerts_free(vault->alerts);
    free(findings);
    free(vault);
    return 0;
}
