/*
 * How CivetWeb reports a problem when it has no file system: through the log_message callback and nowhere else. What it would
 * say without a connection has no way to the callback; those few messages concern broken arguments at the start, which
 * mg_start2() also returns as its error.
 */
static void mg_cry_internal_impl(const struct mg_connection *conn, const char *func, unsigned line,
                                 const char *fmt, va_list ap)
{
    char message[512];

    (void)func;
    (void)line;
    if (conn == NULL || conn->phys_ctx->callbacks.log_message == NULL) {
        return;
    }
    (void)vsnprintf_impl(message, sizeof(message), fmt, ap);
    message[sizeof(message) - 1] = '\0';
    (void)conn->phys_ctx->callbacks.log_message(conn, message);
}
