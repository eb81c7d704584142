/* Tickets come from clients: whatever they send, only what these keys sealed opens. */
#include "api/tls_internal.h"
#include "kluis/base/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    static struct api_tls_tickets *tickets;
    struct api_tls_identity identity = {0};
    unsigned char sealed[256];
    unsigned char *payload = NULL;
    size_t payload_size = 0;

    if (tickets == NULL) {
        struct kl_err err = {0};
        assert(kl_secret_process_init(true, &err) == KL_OK);
        tickets = api_tls_tickets_new();
        assert(tickets != NULL);
    }
    size_t sealed_size = api_tls_ticket_seal(tickets, &identity, (const unsigned char *)"session",
                                             7, sealed, sizeof sealed, 1000);
    unsigned char *ticket = malloc(size + 1);
    assert(ticket != NULL && sealed_size > 0);
    memcpy(ticket, bytes, size);
    assert(!api_tls_ticket_open(tickets, ticket, size, 1000, &identity, &payload, &payload_size));
    free(ticket);
    /* the bytes laid over a good ticket: it opens when they change nothing */
    unsigned char changed[sizeof sealed];
    memcpy(changed, sealed, sealed_size);
    for (size_t i = 0; i < size && i < sealed_size; i++) {
        changed[i] ^= bytes[i];
    }
    bool same = memcmp(changed, sealed, sealed_size) == 0;
    assert(api_tls_ticket_open(tickets, changed, sealed_size, 1000, &identity, &payload,
                               &payload_size) == same);
    return 0;
}
