#include "api/address.h"

#include "kluis/base/buf.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Not globally reachable (IANA IPv4 Special-Purpose Address Registry), multicast and what is reserved. */
static const struct {
    uint32_t network;
    unsigned bits;
} special4[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* shared, of carriers */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local, and the metadata of clouds */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0000200, 24}, /* documentation */
    {0xc0586300, 24}, /* 6to4 relays */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xc6336400, 24}, /* documentation */
    {0xcb007100, 24}, /* documentation */
    {0xe0000000, 4},  /* multicast */
    {0xf0000000, 4},  /* reserved, broadcast */
};

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < sizeof special4 / sizeof special4[0]; i++) {
        if ((address ^ special4[i].network) >> (32 - special4[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

/* Of IPv6 only 2000::/3 is given out for use everywhere; in it, these are not, or lead to an IPv4 address. */
static bool is_public6(const unsigned char address[16])
{
    const uint32_t first = kl_get_u32be(address);

    return first >> 29 == 1 &&       /* 2000::/3 */
           first >> 9 != 0x100080 && /* 2001::/23: protocol assignments, Teredo */
           first != 0x20010db8 &&    /* documentation */
           first >> 16 != 0x2002 &&  /* 6to4 */
           first >> 12 != 0x3fff0;   /* documentation */
}

bool api_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        return is_public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        return is_public6(in6.sin6_addr.s6_addr);
    }
    return false;
}
