/*
 * Parking: a connection on which nothing is to be read holds no worker. It waits in one epoll set, new connections for their
 * first byte, others for their next request, and goes through CivetWeb's own queue when it is readable. Part of civetweb.c.
 *
 * Threads: workers and the accepting thread put connections in (kluis_park_add); one thread of its own takes them out, because
 * they are readable or their time is over. lock guards the lists; nothing is waited for while it is held.
 */
#include <sys/epoll.h>

#define KLUIS_PARK_EVENTS 64
#define KLUIS_PARK_TICK_MS 200 /* how late a deadline or a stop may be seen */
#define KLUIS_PARK_LINGER_MS 5 /* a worker waits so long for the next request before it parks */

enum { KLUIS_PARK_NEW, KLUIS_PARK_IDLE, KLUIS_PARK_LISTS };

struct kluis_parked {
	struct socket client;
	SSL *ssl; /* NULL: a new connection, or a plain one */
	void *conn_data;
	time_t birth_time;
	int handled_requests; /* 0: a new connection */
	int list;
	uint64_t deadline_ns;
	struct kluis_parked *prev, *next;
};

struct kluis_park {
	struct mg_context *ctx;
	pthread_mutex_t lock;
	int epoll_fd;
	pthread_t thread;
	/* Oldest first; all of a list have the same time to wait, so deadlines are in order, too. */
	struct kluis_parked *first[KLUIS_PARK_LISTS], *last[KLUIS_PARK_LISTS];
	uint64_t timeout_ns[KLUIS_PARK_LISTS];
};

static uint64_t
kluis_park_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void
kluis_park_unlink(struct kluis_park *park, struct kluis_parked *parked)
{
	if (parked->prev != NULL) {
		parked->prev->next = parked->next;
	} else {
		park->first[parked->list] = parked->next;
	}
	if (parked->next != NULL) {
		parked->next->prev = parked->prev;
	} else {
		park->last[parked->list] = parked->prev;
	}
	parked->prev = parked->next = NULL;
	(void)epoll_ctl(park->epoll_fd, EPOLL_CTL_DEL, parked->client.sock, NULL);
}

static void
kluis_park_close(struct kluis_parked *parked)
{
	if (parked->ssl != NULL) {
		mbed_ssl_close(parked->ssl);
	}
	closesocket(parked->client.sock);
	mg_free(parked);
}

/* Take the parked connection over; 0 when it cannot be parked, and stays the caller's. */
static int
kluis_park_add(struct kluis_park *park, struct kluis_parked *parked)
{
	struct epoll_event event = {0};
	int ok;

	event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
	event.data.ptr = parked;
	parked->list = parked->handled_requests > 0 ? KLUIS_PARK_IDLE : KLUIS_PARK_NEW;
	parked->next = NULL;
	pthread_mutex_lock(&park->lock);
	parked->deadline_ns = kluis_park_clock_ns() + park->timeout_ns[parked->list];
	parked->prev = park->last[parked->list];
	if (parked->prev != NULL) {
		parked->prev->next = parked;
	} else {
		park->first[parked->list] = parked;
	}
	park->last[parked->list] = parked;
	ok = epoll_ctl(park->epoll_fd, EPOLL_CTL_ADD, parked->client.sock, &event) == 0;
	if (!ok) {
		kluis_park_unlink(park, parked);
	}
	pthread_mutex_unlock(&park->lock);
	return ok;
}

/* The oldest idle connection whose time is over (any, when force); NULL when there is none. */
static struct kluis_parked *
kluis_park_expired(struct kluis_park *park, int force)
{
	struct kluis_parked *found = NULL;
	uint64_t now_ns = kluis_park_clock_ns();
	int list;

	pthread_mutex_lock(&park->lock);
	for (list = KLUIS_PARK_LISTS - 1; list >= 0 && found == NULL; list--) {
		struct kluis_parked *oldest = park->first[list];
		if (oldest != NULL && (force || oldest->deadline_ns <= now_ns)) {
			kluis_park_unlink(park, oldest);
			found = oldest;
		}
	}
	pthread_mutex_unlock(&park->lock);
	return found;
}

static void *
kluis_park_run(void *context)
{
	struct kluis_park *park = (struct kluis_park *)context;
	struct epoll_event events[KLUIS_PARK_EVENTS];
	struct kluis_parked *parked;
	struct socket client;
	int count, i;

	mg_set_thread_name("park");
	while (STOP_FLAG_IS_ZERO(&park->ctx->stop_flag)) {
		count = epoll_wait(park->epoll_fd, events, KLUIS_PARK_EVENTS, KLUIS_PARK_TICK_MS);
		for (i = 0; i < count; i++) {
			parked = (struct kluis_parked *)events[i].data.ptr;
			pthread_mutex_lock(&park->lock);
			kluis_park_unlink(park, parked);
			pthread_mutex_unlock(&park->lock);
			client = parked->client;
			client.parked = parked;
			produce_socket(park->ctx, &client);
		}
		while ((parked = kluis_park_expired(park, 0)) != NULL) {
			kluis_park_close(parked);
		}
	}
	return NULL;
}

/* A configured time in milliseconds; what is no such number waits not at all. */
static uint64_t
kluis_park_timeout_ns(const char *ms)
{
	char *end = NULL;
	long timeout_ms;

	errno = 0;
	timeout_ms = ms == NULL ? 0 : strtol(ms, &end, 10);
	if (ms == NULL || end == ms || *end != '\0' || errno != 0 || timeout_ms < 0) {
		return 0;
	}
	return (uint64_t)timeout_ms * 1000000;
}

/* Without memory, epoll or a thread: NULL, and nothing is parked. */
static struct kluis_park *
kluis_park_start(struct mg_context *ctx)
{
	struct kluis_park *park = (struct kluis_park *)mg_calloc(1, sizeof(*park));

	if (park == NULL) {
		return NULL;
	}
	park->ctx = ctx;
	park->timeout_ns[KLUIS_PARK_NEW] = kluis_park_timeout_ns(ctx->dd.config[REQUEST_TIMEOUT]);
	park->timeout_ns[KLUIS_PARK_IDLE] = kluis_park_timeout_ns(ctx->dd.config[KEEP_ALIVE_TIMEOUT]);
	park->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (park->epoll_fd < 0) {
		mg_free(park);
		return NULL;
	}
	(void)pthread_mutex_init(&park->lock, NULL);
	if (pthread_create(&park->thread, NULL, kluis_park_run, park) != 0) {
		(void)pthread_mutex_destroy(&park->lock);
		close(park->epoll_fd);
		mg_free(park);
		return NULL;
	}
	return park;
}

/* After the workers have ended. Closes what is parked, and what is left in the queue. */
static void
kluis_park_stop(struct kluis_park *park)
{
	struct mg_context *ctx;
	struct kluis_parked *parked;

	if (park == NULL) {
		return;
	}
	ctx = park->ctx;
	if (STOP_FLAG_IS_ZERO(&ctx->stop_flag)) {
		STOP_FLAG_ASSIGN(&ctx->stop_flag, 1);
	}
	pthread_join(park->thread, NULL);
	while ((parked = kluis_park_expired(park, 1)) != NULL) {
		kluis_park_close(parked);
	}
	for (; ctx->sq_tail < ctx->sq_head; ctx->sq_tail++) {
		struct socket *client = &ctx->squeue[ctx->sq_tail % ctx->sq_size];
		if (client->parked != NULL) {
			kluis_park_close(client->parked);
		} else {
			closesocket(client->sock);
		}
	}
	close(park->epoll_fd);
	(void)pthread_mutex_destroy(&park->lock);
	mg_free(park);
}

/* A new connection waits for its first byte. 0: it was not parked. */
static int
kluis_park_new(struct kluis_park *park, const struct socket *client)
{
	struct kluis_parked *parked;

	if (park == NULL || (parked = (struct kluis_parked *)mg_calloc(1, sizeof(*parked))) == NULL) {
		return 0;
	}
	parked->client = *client;
	parked->birth_time = time(NULL);
	if (!kluis_park_add(park, parked)) {
		mg_free(parked);
		return 0;
	}
	return 1;
}

/* Between two requests: 1 when the connection was parked, and is the worker's no more. */
static int
kluis_park_idle(struct mg_connection *conn)
{
	struct mg_context *ctx = conn->phys_ctx;
	struct mg_pollfd pfd = {.fd = conn->client.sock, .events = POLLIN};
	struct kluis_parked *parked;
	int linger_ms;

	if (ctx->park == NULL || conn->data_len > 0 || (conn->ssl != NULL && mbedtls_ssl_get_bytes_avail(conn->ssl) > 0)) {
		return 0;
	}
	(void)pthread_mutex_lock(&ctx->thread_mutex);
	linger_ms = ctx->sq_head == ctx->sq_tail ? KLUIS_PARK_LINGER_MS : 0;
	(void)pthread_mutex_unlock(&ctx->thread_mutex);
	if (poll(&pfd, 1, linger_ms) != 0) {
		return 0;
	}
	parked = (struct kluis_parked *)mg_calloc(1, sizeof(*parked));
	if (parked == NULL) {
		return 0;
	}
	parked->client = conn->client;
	parked->client.parked = NULL;
	parked->ssl = conn->ssl;
	parked->conn_data = conn->request_info.conn_data;
	parked->birth_time = conn->conn_birth_time;
	parked->handled_requests = conn->handled_requests;
	if (!kluis_park_add(ctx->park, parked)) {
		mg_free(parked);
		return 0;
	}
	conn->ssl = NULL;
	conn->client.sock = INVALID_SOCKET;
	conn->request_info.conn_data = NULL;
	return 1;
}

/* A worker takes a connection from the queue up again: 1 when it had requests before, 0 when it is new. */
static int
kluis_park_resume(struct mg_connection *conn)
{
	struct kluis_parked *parked = conn->client.parked;
	int resumed;

	if (parked == NULL) {
		return 0;
	}
	resumed = parked->handled_requests > 0;
	conn->client.parked = NULL;
	conn->ssl = parked->ssl;
	conn->conn_birth_time = parked->birth_time;
	if (resumed) {
		conn->handled_requests = parked->handled_requests;
		conn->data_len = 0;
		conn->must_close = 0;
		mg_set_user_connection_data(conn, parked->conn_data);
	}
	mg_free(parked);
	return resumed;
}
