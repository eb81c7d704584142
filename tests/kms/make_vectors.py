#!/usr/bin/env python3
"""A small key store written from the text of kms/format.h alone, with nothing of kms: test_vectors opens it.

Prints tests/kms/vectors.h. ChaCha20 and Poly1305 as RFC 8439 has them, XChaCha20 as draft-irtf-cfrg-xchacha-03.
"""
import hashlib
import struct


def rotate(word, bits):
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF


def quarter(s, a, b, c, d):
    for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = rotate(s[z] ^ s[x], bits)


def rounds(state):
    s = list(state)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, a, b, c, d)
    return s


CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def block(key, counter, nonce):
    state = CONSTANTS + struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(rounds(state), state)))


def chacha20(key, counter, nonce, data):
    out = bytearray()
    for i in range(0, len(data), 64):
        stream = block(key, counter + i // 64, nonce)
        out += bytes(a ^ b for a, b in zip(data[i:i + 64], stream))
    return bytes(out)


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def padded(data):
    return data + bytes(-len(data) % 16)


def seal(key, nonce, data, ad):
    text = chacha20(key, 1, nonce, data)
    tail = struct.pack("<QQ", len(ad), len(text))
    return text + poly1305(block(key, 0, nonce)[:32], padded(ad) + padded(text) + tail)


def xseal(key, nonce, data, ad):
    state = CONSTANTS + struct.unpack("<8I", key) + struct.unpack("<4I", nonce[:16])
    s = rounds(state)
    return seal(struct.pack("<8I", *(s[0:4] + s[12:16])), bytes(4) + nonce[16:], data, ad)


STORE, TENANT, SUBJECT = 1, 2, 3
SPINE, INTERIOR, LEAF = 1, 2, 3
ENTRIES = {SPINE: 6, INTERIOR: 128, LEAF: 64}
MARK = 255


def fixed(name, size=32):
    return hashlib.blake2b(name.encode(), digest_size=size).digest()


def derived(seed, i, tree, page_kind, level):
    return block(seed, i, b"kls1E" + bytes([tree, page_kind, level, 0, 0, 0, 0]))[:32]


def place_key(node):
    return block(node, 0, b"kls1K" + bytes(7))[:32]


def row_key(tree, tenant, slot, height, level, index):
    return b"P" + struct.pack(">BQQBBQ", tree, tenant, slot, height, level, index)


def page_row(name, key, address, entries, generation=0):
    nonce = fixed("nonce " + name, 24)
    ad = b"kluis/page/1" + STORE_ID + row_key(*address) + struct.pack(">Q", generation)
    text = b"".join(bytes([kind]) + data for kind, data in entries)
    return row_key(*address), b"\1" + nonce + xseal(key, nonce, text, ad)


def seeds(name, count):
    return [(1, fixed(f"{name} {i}")) for i in range(count)]


GONE = (3, bytes(32))
STORE_ID = fixed("store", 16)
GENERATION = 7
ROOT_KEY = fixed("root key")


def root_slot(generation, key):
    slot = b"KLSROOT1" + bytes([1, 1, 0, 0]) + struct.pack(">IQ", 0, 0) + STORE_ID
    slot += struct.pack(">Q", generation) + bytes(16) + bytes(24) + key
    slot += bytes(4064 - len(slot))
    return slot + hashlib.blake2b(slot, digest_size=32).digest()


def sealed_value(node, tenant, slot, value, context, text, name):
    salt = fixed("salt " + name, 24)
    numbers = struct.pack(">QQQI", tenant, slot, value, len(context))
    keys = hashlib.blake2b(b"kluis/seal/1" + numbers + context + salt, key=place_key(node), digest_size=64).digest()
    return b"\1" + salt + keys[32:] + seal(keys[:32], bytes(12), text, b"")


def labelled(domain, node, tenant, slot, value, label, data=b""):
    numbers = struct.pack(">QQQI", tenant, slot, value, len(label))
    return hashlib.blake2b(domain + numbers + label + data, key=place_key(node), digest_size=32).digest()


def literal(data):
    text = data.hex()
    return "\n".join(f'     "{text[i:i + 90]}"' for i in range(0, len(text), 90))


def main():
    rows = []
    # Store: tenant 3 has pages of its own. It lies in the leaf page of height 0.
    leaf = seeds("store leaf", 64)
    leaf[3] = (2, fixed("tenant spine key"))
    spine = seeds("root", 6)
    spine[0] = (2, fixed("store leaf key"))
    rows.append(page_row("root", ROOT_KEY, (STORE, 0, 0, MARK, MARK, 0), spine, GENERATION))
    rows.append(page_row("store leaf", fixed("store leaf key"), (STORE, 0, 0, 0, 0, 0), leaf))
    # Tenant 3: slot 70 is in height 1 (64 + 6), its leaf page 0 was written out; slot 71 of it is gone.
    tenant_spine = seeds("tenant spine", 6)
    tenant_spine[1] = (2, fixed("interior key"))
    rows.append(page_row("tenant spine", fixed("tenant spine key"), (TENANT, 3, 0, MARK, MARK, 0), tenant_spine))
    interior = seeds("interior", 128)
    interior[0] = (2, fixed("tenant leaf key"))
    rows.append(page_row("interior", fixed("interior key"), (TENANT, 3, 0, 1, 1, 0), interior))
    tenant_leaf = seeds("tenant leaf", 64)
    tenant_leaf[7] = GONE
    rows.append(page_row("tenant leaf", fixed("tenant leaf key"), (TENANT, 3, 0, 1, 0, 0), tenant_leaf))
    rows.append((b"M", b"\1" + STORE_ID + struct.pack(">QQQ", GENERATION, 1000000, 2000000)))
    rows.append((b"T", b"\1" + struct.pack(">Q", 4)))
    rows.append((b"S" + struct.pack(">Q", 3), b"\1" + struct.pack(">Q", 4096)))
    rows.append((b"N" + struct.pack(">QI", GENERATION, 2), b"\1a note"))

    # Value 8300 of slot 70: 8300 - 64 - 8192 = 44 in height 2.
    node = fixed("tenant leaf 6")
    node = derived(node, 2, SUBJECT, SPINE, MARK)
    node = derived(node, 0, SUBJECT, INTERIOR, 2)
    node = derived(node, 0, SUBJECT, INTERIOR, 1)
    node = derived(node, 44, SUBJECT, LEAF, 0)
    value = sealed_value(node, 3, 70, 8300, b"context", b"a value", "value")
    # Slot 5 of tenant 2, used itself: all of tenant 2 is derived.
    bucket = derived(derived(fixed("store leaf 2"), 0, TENANT, SPINE, MARK), 5, TENANT, LEAF, 0)
    own = sealed_value(bucket, 2, 5, 2**64 - 1, b"c", b"", "own")
    mac = labelled(b"kluis/mac/1", bucket, 2, 5, 2**64 - 1, b"label", b"data")
    seed = labelled(b"kluis/sign/1", bucket, 2, 5, 2**64 - 1, b"label")
    # Root file: generation 7 in slot 1, 8 staged in slot 0.
    root_file = root_slot(8, fixed("staged")) + root_slot(GENERATION, ROOT_KEY)

    print("/* clang-format off */\n/* Made by make_vectors.py from the text of kms/format.h; not by kms. */")
    print("#ifndef KLUIS_TESTS_KMS_VECTORS_H\n#define KLUIS_TESTS_KMS_VECTORS_H\n")
    print("static const struct {\n    const char *key;\n    const char *value;\n} vector_rows[] = {")
    for key, data in rows:
        print(f"    {{\n{literal(key)},\n{literal(data)}}},")
    print("};")
    # The slots are mostly zero: head and checksum are enough.
    print("static const struct {\n    const char *head;\n    const char *checksum;\n} vector_root_slots[2] = {")
    for i in range(2):
        slot = root_file[4096 * i:4096 * (i + 1)]
        print(f"    {{\n{literal(slot[:136])},\n{literal(slot[4064:])}}},")
    print("};")
    for name, data in (("value", value), ("own", own), ("mac", mac), ("sign_seed", seed)):
        print(f"static const char vector_{name}[] =\n{literal(data)};")
    print("\n#endif")


main()
