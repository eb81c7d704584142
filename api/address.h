/*
 * Addresses that may be called from inside: those that are reachable from anywhere, and so lead to nothing that only this machine, or its network,
 * can reach. Sources: IANA's registries of special-purpose addresses (RFC 6890) for IPv4 and IPv6. Threads: any.
 */
#ifndef KLUIS_API_ADDRESS_H
#define KLUIS_API_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* False for loopback, private, link-local, shared, multicast, documentation and translated addresses, and any other family than IPv4 and IPv6. */
bool api_address_is_public(const struct sockaddr *address);

#endif
