/*
 * Counts for /metrics, in the Prometheus text format 0.0.4. Labels come from fixed lists only,
 * never from a request. Threads: any; counting takes no lock.
 */
#ifndef KLUIS_API_METRICS_H
#define KLUIS_API_METRICS_H

#include "kluis/base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct api_metrics;
struct api_app;

struct api_metrics *api_metrics_new(void); /* NULL when out of memory */
void api_metrics_free(struct api_metrics *metrics);

/* For requests that no route answers. */
#define API_METRICS_NO_ROUTE ((size_t)-1)
/* One request answered. route_index: in API_ROUTES. */
void api_metrics_count(struct api_metrics *metrics, size_t route_index, int http_status,
                       int64_t duration_us);
void api_metrics_in_flight(struct api_metrics *metrics, int change);
int64_t api_metrics_in_flight_now(struct api_metrics *metrics);

/* Append all figures: of HTTP, of TLS, of the vault, of the process. */
void api_metrics_write(struct api_app *app, struct kl_buf *out);

#endif
