/* What the files of the server share: the server itself, and its callbacks from CivetWeb. */
#ifndef KLUIS_API_SERVER_INTERNAL_H
#define KLUIS_API_SERVER_INTERNAL_H

#include "api/app.h"
#include "kluis/api/server.h"

#include <civetweb.h>

struct api_app *api_server_app(struct api_server *server);
/* Used by api/civetweb/mod_mbedtls.inl; server is a struct api_server. */
struct api_tls *api_server_tls(void *server);
int api_server_request_timeout_ms(const struct api_server *server);

/*
 * Fill in what CivetWeb calls. metrics: for the listener of that. The context's user data is the
 * server.
 */
void api_server_callbacks(bool metrics, struct mg_callbacks *ret_callbacks);

#endif
