/*
 * Stands in for CivetWeb's own module of this name, whose handshake spins on a silent client and verifies nothing. What
 * CivetWeb calls is sent to api/tls.h; this text lies inside civetweb.c, where malloc() and others are forbidden words, so no
 * code of ours is here.
 */
#include "api/tls.h"

#include <mbedtls/ssl.h>

typedef struct api_tls_conn SSL;

/* The TLS state of the server hangs on the server (mg_get_user_data), so nothing is kept here. */
typedef struct {
	int unused;
} SSL_CTX;

#define mbed_sslctx_init(context, certificate) ((void)(context), 0)
#define mbed_sslctx_uninit(context) ((void)(context))
#define mbed_ssl_accept(conn, context, sock, server) \
	((*(conn) = api_tls_accept(api_server_tls(mg_get_user_data(server)), *(sock))) == NULL ? -1 : 0)
#define mbed_ssl_close(conn) api_tls_close(conn)
#define mbed_ssl_read(conn, bytes, size) api_tls_read((conn), (bytes), (size))
#define mbed_ssl_write(conn, bytes, size) api_tls_write((conn), (bytes), (size))
#define mbedtls_ssl_get_bytes_avail(conn) api_tls_pending(conn)

/* The TLS state of a server; in api/server.c. */
struct api_tls *api_server_tls(void *server);
