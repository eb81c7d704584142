#include "vault/rows.h"

#include <assert.h>
#include <string.h>

struct kl_slice vault_row_slice(const struct vault_row_key *key)
{
    return kl_slice_of(key->bytes, key->size);
}

static struct vault_row_key row_begin(char kind)
{
    struct vault_row_key key = {.size = 1};
    key.bytes[0] = (unsigned char)kind;
    return key;
}

static void row_add(struct vault_row_key *key, const void *bytes, size_t size)
{
    assert(size <= sizeof(key->bytes) - key->size);
    memcpy(key->bytes + key->size, bytes, size);
    key->size += size;
}

static void row_add_name(struct vault_row_key *key, const char *name)
{
    size_t size = strlen(name);
    assert(size <= VAULT_ROW_NAME_MAX_BYTES);
    row_add(key, name, size);
}

static void row_add_u8(struct vault_row_key *key, uint8_t number)
{
    row_add(key, &number, 1);
}

static void row_add_u32(struct vault_row_key *key, uint32_t number)
{
    unsigned char bytes[4];
    kl_put_u32be(bytes, number);
    row_add(key, bytes, sizeof(bytes));
}

static void row_add_u64(struct vault_row_key *key, uint64_t number)
{
    unsigned char bytes[8];
    kl_put_u64be(bytes, number);
    row_add(key, bytes, sizeof(bytes));
}

static struct vault_row_key row_of_tenant(char kind, uint64_t tenant)
{
    struct vault_row_key key = row_begin(kind);
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_meta(const char *name)
{
    struct vault_row_key key = row_begin('M');
    row_add_name(&key, name);
    return key;
}

struct vault_row_key vault_row_index(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("index");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_index_old(uint64_t tenant, uint32_t epoch, uint32_t part)
{
    struct vault_row_key key = vault_row_meta("index-old");
    row_add_u64(&key, tenant);
    row_add_u32(&key, epoch);
    row_add_u32(&key, part);
    return key;
}

struct vault_row_key vault_row_journal(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("journal");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_lost(uint64_t tenant, uint64_t from)
{
    struct vault_row_key key = vault_row_meta("lost");
    row_add_u64(&key, tenant);
    row_add_u64(&key, from);
    return key;
}

struct vault_row_key vault_row_tiled(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("tiles");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_audit_indexed(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("audit-index");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_audit_index_pruned(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("audit-index-pruned");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_pruned(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("pruned");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_unswept(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("unswept");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_horizon(uint64_t tenant)
{
    struct vault_row_key key = vault_row_meta("horizon");
    row_add_u64(&key, tenant);
    return key;
}

struct vault_row_key vault_row_unconfirmed(uint64_t home, const struct kl_id *receipt)
{
    struct vault_row_key key = vault_row_meta("unconfirmed");
    row_add_u64(&key, home);
    row_add(&key, receipt->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_tenant(const char *name)
{
    struct vault_row_key key = row_begin('T');
    row_add_name(&key, name);
    return key;
}

struct vault_row_key vault_row_policy(uint64_t tenant, uint64_t version)
{
    struct vault_row_key key = row_of_tenant('P', tenant);
    row_add_u64(&key, version);
    return key;
}

struct vault_row_key vault_row_credential(const unsigned char mac[32])
{
    struct vault_row_key key = row_begin('C');
    row_add(&key, mac, 32);
    return key;
}

struct vault_row_key vault_row_credential_id(uint64_t tenant, const struct kl_id *credential)
{
    struct vault_row_key key = row_of_tenant('D', tenant);
    row_add(&key, credential->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_head(uint64_t tenant, uint64_t slot)
{
    struct vault_row_key key = row_of_tenant('H', tenant);
    row_add_u64(&key, slot);
    return key;
}

struct vault_row_key vault_row_value(uint64_t tenant, uint64_t slot, uint64_t value)
{
    struct vault_row_key key = row_of_tenant('V', tenant);
    row_add_u64(&key, slot);
    row_add_u64(&key, value);
    return key;
}

struct vault_row_key vault_row_file(uint64_t tenant, uint64_t slot, uint64_t value)
{
    struct vault_row_key key = row_of_tenant('L', tenant);
    row_add_u64(&key, slot);
    row_add_u64(&key, value);
    return key;
}

struct vault_row_key vault_row_old(uint64_t tenant, int64_t time_us, uint64_t slot, uint64_t value)
{
    assert(time_us >= 0);
    struct vault_row_key key = row_of_tenant('O', tenant);
    row_add_u64(&key, (uint64_t)time_us);
    row_add_u64(&key, slot);
    row_add_u64(&key, value);
    return key;
}

struct vault_row_key vault_row_bucket(uint64_t tenant, uint32_t epoch, uint8_t depth,
                                      uint64_t prefix, uint32_t version, uint8_t seq)
{
    struct vault_row_key key = row_of_tenant('B', tenant);
    row_add_u32(&key, epoch);
    row_add_u8(&key, depth);
    row_add_u64(&key, prefix);
    row_add_u32(&key, version);
    row_add_u8(&key, seq);
    return key;
}

struct vault_row_key vault_row_audit(uint64_t tenant, uint64_t seq)
{
    struct vault_row_key key = row_of_tenant('A', tenant);
    row_add_u64(&key, seq);
    return key;
}

struct vault_row_key vault_row_frontier(uint64_t tenant)
{
    return row_of_tenant('F', tenant);
}

struct vault_row_key vault_row_tile(uint64_t tenant, uint8_t level, uint64_t tile)
{
    struct vault_row_key key = row_of_tenant('G', tenant);
    row_add_u8(&key, level);
    row_add_u64(&key, tile);
    return key;
}

struct vault_row_key vault_row_audit_id(uint64_t tenant, const struct kl_id *entry, uint64_t seq)
{
    struct vault_row_key key = row_of_tenant('J', tenant);
    row_add(&key, entry->bytes, KL_ID_BYTES / 2);
    row_add_u64(&key, seq);
    return key;
}

struct vault_row_key vault_row_postings(uint64_t tenant, uint64_t block, uint8_t kind,
                                        uint8_t bucket)
{
    struct vault_row_key key = row_of_tenant('K', tenant);
    row_add_u64(&key, block);
    row_add_u8(&key, kind);
    row_add_u8(&key, bucket);
    return key;
}

struct vault_row_key vault_row_receipt(uint64_t tenant, const struct kl_id *receipt)
{
    struct vault_row_key key = row_of_tenant('E', tenant);
    row_add(&key, receipt->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_receipt_entry(uint64_t tenant, const struct kl_id *receipt)
{
    struct vault_row_key key = row_of_tenant('e', tenant);
    row_add(&key, receipt->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_review(uint64_t tenant, uint64_t from, const struct kl_id *review)
{
    struct vault_row_key key = row_of_tenant('U', tenant);
    row_add_u64(&key, from);
    row_add(&key, review->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_idempotency(uint64_t tenant, const unsigned char mac[16])
{
    struct vault_row_key key = row_of_tenant('I', tenant);
    row_add(&key, mac, 16);
    return key;
}

struct vault_row_key vault_row_aside(uint64_t tenant, uint64_t slot, char kind,
                                     const struct kl_id *id)
{
    struct vault_row_key key = row_of_tenant('Q', tenant);
    row_add_u64(&key, slot);
    row_add(&key, &kind, 1);
    if (id != NULL) {
        row_add(&key, id->bytes, KL_ID_BYTES);
    }
    return key;
}

struct vault_row_key vault_row_request(uint64_t tenant, const struct kl_id *request)
{
    struct vault_row_key key = row_of_tenant('q', tenant);
    row_add(&key, "i", 1);
    row_add(&key, request->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_request_due(uint64_t tenant, bool open, int64_t due_us,
                                           const struct kl_id *request)
{
    assert(due_us >= 0);
    struct vault_row_key key = row_of_tenant('q', tenant);
    row_add(&key, open ? "a" : "b", 1);
    row_add_u64(&key, (uint64_t)due_us);
    row_add(&key, request->bytes, KL_ID_BYTES);
    return key;
}

struct vault_row_key vault_row_waiting(uint64_t tenant, const struct kl_id *webhook,
                                       uint64_t number)
{
    struct vault_row_key key = row_of_tenant('N', tenant);
    row_add(&key, webhook->bytes, KL_ID_BYTES);
    row_add_u64(&key, number);
    return key;
}

struct vault_row_key vault_row_rotation(uint64_t tenant, const struct kl_id *rotation)
{
    struct vault_row_key key = row_of_tenant('R', tenant);
    row_add(&key, rotation->bytes, KL_ID_BYTES);
    return key;
}

static const char tenant_kinds[] = "PDHVLOBAFGJKEeIRwQqUN";
static const char *const tenant_metas[] = {
    "index", "index-old", "horizon",     "unswept",     "journal",
    "lost",  "tiles",     "unconfirmed", "audit-index", "audit-index-pruned",
    "pruned"};

bool vault_row_tenant_prefix(uint64_t tenant, size_t i, struct vault_row_key *ret)
{
    size_t kinds = sizeof tenant_kinds - 1;
    size_t metas = sizeof tenant_metas / sizeof tenant_metas[0];

    if (i < kinds) {
        *ret = row_of_tenant(tenant_kinds[i], tenant);
        return true;
    }
    if (i - kinds < metas) {
        *ret = vault_row_meta(tenant_metas[i - kinds]);
        row_add_u64(ret, tenant);
        return true;
    }
    return false;
}

struct vault_row_key vault_row_beside(uint64_t tenant, uint64_t slot, uint8_t kind, uint64_t value)
{
    struct vault_row_key key = row_of_tenant('w', tenant);
    row_add_u64(&key, slot);
    row_add_u8(&key, kind);
    row_add_u64(&key, value);
    return key;
}

struct vault_row_key vault_row_past(const struct vault_row_key *prefix)
{
    struct vault_row_key key = *prefix;
    while (key.size > 0 && key.bytes[key.size - 1] == 0xff) {
        key.size--;
    }
    if (key.size > 0) {
        key.bytes[key.size - 1]++;
    }
    return key;
}
