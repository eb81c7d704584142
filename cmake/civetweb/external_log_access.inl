/* CivetWeb writes no access log; the server logs its own requests, without addresses or paths that could name a person. */
static void log_access(const struct mg_connection *conn)
{
    (void)conn;
}
