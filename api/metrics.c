#include "api/metrics.h"
#include "api/app.h"
#include "kluis/base/time.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX 128 /* API_ROUTES and one for what has no route */

static const int STATUSES[] = {200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410, 411,
                               412, 413, 414, 415, 417, 422, 428, 429, 431, 500, 503, 505, 507};
#define STATUSES_COUNT (sizeof STATUSES / sizeof STATUSES[0])

/* Upper bounds in microseconds; what is slower falls under +Inf only. */
static const int64_t BUCKETS_US[] = {250,   500,    1000,   2500,   5000,    10000,   25000,
                                     50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};
static const char *const BUCKET_TEXTS[] = {"0.00025", "0.0005", "0.001", "0.0025", "0.005",
                                           "0.01",    "0.025",  "0.05",  "0.1",    "0.25",
                                           "0.5",     "1",      "2.5",   "10"};
#define BUCKETS_COUNT (sizeof BUCKETS_US / sizeof BUCKETS_US[0])

struct route_counts {
    atomic_ullong by_status[STATUSES_COUNT];
    atomic_ullong buckets[BUCKETS_COUNT]; /* each counts only its own range */
    atomic_ullong count;
    atomic_ullong sum_us;
};

struct api_metrics {
    atomic_llong in_flight;
    int64_t started_us;
    struct route_counts routes[ROUTES_MAX];
};

struct api_metrics *api_metrics_new(void)
{
    struct api_metrics *metrics = calloc(1, sizeof *metrics);

    if (metrics != NULL) {
        metrics->started_us = kl_time_now_us();
    }
    return metrics;
}

void api_metrics_free(struct api_metrics *metrics)
{
    free(metrics);
}

void api_metrics_count(struct api_metrics *metrics, size_t route_index, int http_status,
                       int64_t duration_us)
{
    struct route_counts *route =
        &metrics->routes[route_index < ROUTES_MAX - 1 ? route_index : ROUTES_MAX - 1];

    for (size_t i = 0; i < STATUSES_COUNT; i++) {
        if (STATUSES[i] == http_status) {
            atomic_fetch_add_explicit(&route->by_status[i], 1, memory_order_relaxed);
        }
    }
    for (size_t i = 0; i < BUCKETS_COUNT; i++) {
        if (duration_us <= BUCKETS_US[i]) {
            atomic_fetch_add_explicit(&route->buckets[i], 1, memory_order_relaxed);
            break;
        }
    }
    atomic_fetch_add_explicit(&route->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&route->sum_us, (unsigned long long)duration_us,
                              memory_order_relaxed);
}

void api_metrics_in_flight(struct api_metrics *metrics, int change)
{
    atomic_fetch_add(&metrics->in_flight, change);
}

int64_t api_metrics_in_flight_now(struct api_metrics *metrics)
{
    return atomic_load(&metrics->in_flight);
}

/* ---- writing ---- */

static void write_family(struct kl_buf *out, const char *name, const char *type, const char *help)
{
    kl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_one(struct kl_buf *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    write_family(out, name, type, help);
    kl_buf_addf(out, "%s %" PRIu64 "\n", name, value);
}

/* The labels that tell routes apart; "none" for what has none. */
static void write_route_labels(struct kl_buf *out, const struct api_app *app, size_t index)
{
    if (index < app->route_count) {
        kl_buf_addf(out, "route=\"%s\",method=\"%s\"", app->routes[index].pattern,
                    app->routes[index].method);
    } else {
        kl_buf_add_text(out, "route=\"none\",method=\"none\"");
    }
}

static void write_requests(struct kl_buf *out, const struct api_app *app)
{
    write_family(out, "kluis_http_requests_total", "counter",
                 "Requests answered, by route, method and status code.");
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        for (size_t s = 0; s < STATUSES_COUNT; s++) {
            unsigned long long value =
                atomic_load_explicit(&app->metrics->routes[i].by_status[s], memory_order_relaxed);
            if (value > 0) {
                kl_buf_add_text(out, "kluis_http_requests_total{");
                write_route_labels(out, app, i);
                kl_buf_addf(out, ",code=\"%d\"} %llu\n", STATUSES[s], value);
            }
        }
    }
}

static void write_histogram(struct kl_buf *out, const struct api_app *app, size_t index)
{
    const struct route_counts *route = &app->metrics->routes[index];
    unsigned long long count = atomic_load_explicit(&route->count, memory_order_relaxed);
    unsigned long long sum_us = atomic_load_explicit(&route->sum_us, memory_order_relaxed);
    unsigned long long below = 0;

    if (count == 0) {
        return;
    }
    for (size_t b = 0; b <= BUCKETS_COUNT; b++) {
        below = b < BUCKETS_COUNT
                    ? below + atomic_load_explicit(&route->buckets[b], memory_order_relaxed)
                    : count;
        kl_buf_add_text(out, "kluis_http_request_duration_seconds_bucket{");
        write_route_labels(out, app, index);
        kl_buf_addf(out, ",le=\"%s\"} %llu\n", b < BUCKETS_COUNT ? BUCKET_TEXTS[b] : "+Inf", below);
    }
    kl_buf_add_text(out, "kluis_http_request_duration_seconds_sum{");
    write_route_labels(out, app, index);
    kl_buf_addf(out, "} %llu.%06llu\n", sum_us / 1000000, sum_us % 1000000);
    kl_buf_add_text(out, "kluis_http_request_duration_seconds_count{");
    write_route_labels(out, app, index);
    kl_buf_addf(out, "} %llu\n", count);
}

static void write_tls(struct kl_buf *out, struct api_tls *tls)
{
    struct api_tls_counts counts;

    if (tls == NULL) {
        return;
    }
    api_tls_counts(tls, &counts);
    write_family(out, "kluis_tls_handshakes_total", "counter", "TLS handshakes by result.");
    kl_buf_addf(out,
                "kluis_tls_handshakes_total{result=\"full\"} %" PRIu64
                "\nkluis_tls_handshakes_total{result=\"resumed\"} %" PRIu64
                "\nkluis_tls_handshakes_total{result=\"failed\"} %" PRIu64
                "\nkluis_tls_handshakes_total{result=\"timed_out\"} %" PRIu64 "\n",
                counts.handshakes - counts.resumed, counts.resumed,
                counts.failed - counts.timed_out, counts.timed_out);
}

/* A figure of each store; which one is the member of struct vault_figures at that offset. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    size_t offset;
} STORE_FIGURES[] = {
#define FIGURE(member) offsetof(struct vault_figures, member)
    {"kluis_subjects_created_total", "counter", "Subjects made.", FIGURE(subjects_created)},
    {"kluis_records_created_total", "counter", "Records made.", FIGURE(records_created)},
    {"kluis_records_rectified_total", "counter", "Records changed.", FIGURE(records_rectified)},
    {"kluis_fields_read_total", "counter", "Field values shown.", FIGURE(fields_read)},
    {"kluis_fields_withheld_total", "counter", "Field values withheld by the policy.",
     FIGURE(fields_withheld)},
    {"kluis_erasures_total", "counter", "Subjects and records erased.", FIGURE(erasures)},
    {"kluis_requests_open", "gauge", "Requests of data subjects that wait for an answer.",
     FIGURE(requests_open)},
    {"kluis_requests_overdue", "gauge", "Requests of data subjects whose deadline is over.",
     FIGURE(requests_overdue)},
    {"kluis_retention_runs_total", "counter",
     "Runs that erase what no purpose keeps any more, ended.", FIGURE(retention_runs)},
    {"kluis_retention_records_erased_total", "counter", "Records that those runs erased.",
     FIGURE(retention_erased)},
    {"kluis_retention_failures_total", "counter",
     "Erasures by those runs that were refused or failed.", FIGURE(retention_failed)},
    {"kluis_retention_records_due", "gauge",
     "Records that the last run over the whole store found due.", FIGURE(retention_due)},
    {"kluis_retention_records_overdue", "gauge",
     "Those of them that were due a day before already.", FIGURE(retention_overdue)},
    {"kluis_retention_last_run_timestamp_seconds", "gauge",
     "When the last run over the whole store came to its end; 0: there was none.",
     FIGURE(retention_last_s)},
    {"kluis_key_rotations_total", "counter", "Rotations of keys.", FIGURE(rotations)},
    {"kluis_audit_entries_total", "counter", "Entries written to the audit trail.",
     FIGURE(audit_entries)},
    {"kluis_unauthorised_total", "counter", "Requests without a credential that holds.",
     FIGURE(refused_unauthorised)},
    {"kluis_key_generation", "gauge", "Generation of the root key.", FIGURE(key_generation)},
    {"kluis_key_pages_cached", "gauge", "Key pages held in locked memory.",
     FIGURE(key_pages_cached)},
    {"kluis_key_slots_cached", "gauge", "Keys of slots held ready in locked memory.",
     FIGURE(key_slots_cached)},
    {"kluis_alerts_volume_total", "counter",
     "Alerts of credentials that were shown more people than their role expects.",
     FIGURE(alerts_volume)},
    {"kluis_alerts_refusals_total", "counter",
     "Alerts of credentials that were refused more often than their role expects.",
     FIGURE(alerts_refusals)},
    {"kluis_alerts_hours_total", "counter",
     "Alerts of credentials that read outside of the hours of their role.", FIGURE(alerts_hours)},
    {"kluis_webhook_events_delivered_total", "counter", "Events that their targets took.",
     FIGURE(webhooks_delivered)},
    {"kluis_webhook_failures_total", "counter", "Deliveries of events that failed.",
     FIGURE(webhooks_failed)},
    {"kluis_webhook_events_dropped_total", "counter",
     "Events that were never delivered: too many waited, or they may not go there.",
     FIGURE(webhooks_dropped)},
    {"kluis_webhook_events_waiting", "gauge", "Events that wait for their targets.",
     FIGURE(webhooks_waiting)},
    {"kluis_commits_total", "counter",
     "Requests whose audit entries and changes were written and synced.", FIGURE(commits)},
    {"kluis_commit_syncs_total", "counter", "Syncs of the store that these requests shared.",
     FIGURE(commit_syncs)},
    {"kluis_key_mirrors", "gauge", "Mirrors of the keys.", FIGURE(key_mirrors)},
    {"kluis_key_mirrors_out_of_step", "gauge", "Mirrors that keep erasures and rotations waiting.",
     FIGURE(key_mirrors_out_of_step)},
#undef FIGURE
};

static void write_of_store(struct kl_buf *out, const char *name, const char *store, uint64_t value)
{
    kl_buf_addf(out, "%s{store=\"%s\"} %" PRIu64 "\n", name, store, value);
}

/* One that is being made, or never was whole, is none. */
static bool is_store(const struct vault_stores *stores, size_t index)
{
    return vault_stores_at(stores, index, NULL) != NULL || vault_stores_is_away(stores, index);
}

static void write_ready(struct kl_buf *out, const struct vault_stores *stores, size_t count)
{
    write_family(out, "kluis_ready", "gauge", "1 when requests can be answered.");
    for (size_t i = 0; i < count; i++) {
        struct vault_readiness readiness = {.ready = false};
        const char *name = NULL;
        struct vault *store = vault_stores_at(stores, i, &name);
        if (store != NULL) {
            vault_readiness(store, &readiness);
        }
        if (is_store(stores, i)) {
            write_of_store(out, "kluis_ready", name, readiness.ready ? 1 : 0);
        }
    }
}

/* The room of each file system; which directories these are, operators know. */
static void write_space(struct kl_buf *out, const struct vault_space_figures *spaces,
                        const char *const *names, size_t count)
{
    write_family(out, "kluis_storage_free_bytes", "gauge",
                 "Free bytes of the file system of each place.");
    for (size_t i = 0; i < count; i++) {
        for (size_t p = 0; names[i] != NULL && p < VAULT_SPACE_PLACES; p++) {
            kl_buf_addf(out, "kluis_storage_free_bytes{store=\"%s\",place=\"%s\"} %" PRIu64 "\n",
                        names[i], vault_space_place_name((enum vault_space_place)p),
                        spaces[i].places[p].free_bytes);
        }
    }
    write_family(out, "kluis_storage_reserve_bytes", "gauge",
                 "Below so many free bytes of any place only erasures and the like are done.");
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL) {
            write_of_store(out, "kluis_storage_reserve_bytes", names[i], spaces[i].reserve_bytes);
        }
    }
    write_family(out, "kluis_storage_ballast_bytes", "gauge",
                 "Bytes that are given up when a disk is full all the same.");
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL) {
            write_of_store(out, "kluis_storage_ballast_bytes", names[i], spaces[i].ballast_bytes);
        }
    }
    write_family(out, "kluis_storage_low", "gauge", "1 while a place has less than the reserve.");
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL) {
            write_of_store(out, "kluis_storage_low", names[i], spaces[i].low ? 1 : 0);
        }
    }
}

static void write_stores(struct kl_buf *out, const struct vault_stores *stores)
{
    struct vault_figures figures[VAULT_STORES_MAX] = {{0}};
    struct vault_space_figures spaces[VAULT_STORES_MAX];
    const char *names[VAULT_STORES_MAX] = {NULL};
    size_t count = vault_stores_count(stores);

    for (size_t i = 0; i < count; i++) {
        struct vault *store = vault_stores_at(stores, i, &names[i]);
        if (store == NULL) {
            names[i] = NULL;
        } else {
            vault_figures(store, &figures[i]);
            vault_space_figures(store, &spaces[i]);
        }
    }
    write_ready(out, stores, count);
    write_space(out, spaces, names, count);
    for (size_t f = 0; f < sizeof STORE_FIGURES / sizeof STORE_FIGURES[0]; f++) {
        write_family(out, STORE_FIGURES[f].name, STORE_FIGURES[f].type, STORE_FIGURES[f].help);
        for (size_t i = 0; i < count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&figures[i] + STORE_FIGURES[f].offset, sizeof value);
            if (names[i] != NULL) {
                write_of_store(out, STORE_FIGURES[f].name, names[i], value);
            }
        }
    }
}

void api_metrics_write(struct api_app *app, struct kl_buf *out)
{
    write_family(out, "kluis_build_info", "gauge", "The version that runs.");
    kl_buf_addf(out, "kluis_build_info{version=\"%s\"} 1\n", KLUIS_VERSION);
    write_family(out, "kluis_process_start_time_seconds", "gauge", "When the server started.");
    kl_buf_addf(out, "kluis_process_start_time_seconds %" PRId64 "\n",
                app->metrics->started_us / 1000000);
    write_one(out, "kluis_http_requests_in_flight", "gauge", "Requests being answered.",
              (uint64_t)api_metrics_in_flight_now(app->metrics));
    write_requests(out, app);
    write_family(out, "kluis_http_request_duration_seconds", "histogram",
                 "Time from a request's head to its answer.");
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        write_histogram(out, app, i);
    }
    write_tls(out, app->tls);
    write_stores(out, app->stores);
}
