/* Tell the supervisor how the service is (sd_notify(3)'s protocol: a datagram to NOTIFY_SOCKET). */
#ifndef API_NOTIFY_H
#define API_NOTIFY_H

/* state: "READY=1", "RELOADING=1", "STOPPING=1". Nothing happens without a supervisor that asked. */
void api_notify(const char *state);

#endif
