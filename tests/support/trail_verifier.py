"""Checks what a Kluis vault proves about its audit trail, with nothing but the standard library, RFC 9162 and RFC 8032.

    python3 trail_verifier.py HEAD.json PROOF.json ENTRY.txt     # a head as GET /v1/audit/head has it, a proof, and the entry's text
    python3 trail_verifier.py COPY.ndjson                        # a whole trail as `kluis audit save` takes it down
    python3 trail_verifier.py RECEIPT.json KEY                   # a receipt of an erasure, by a public key that is known

Signed are five lines (head), nine (change of key) or ten (entries that went by the policy), as api/openapi.json says. Hashes, keys and signatures
are base64url."""
import base64
import calendar
import datetime
import hashlib
import json
import re
import sys

# ---- Ed25519 verification, RFC 8032 section 5.1 ------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def recover(y, sign):
    """The x of a point, or None (section 5.1.3)."""
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * I % P
    if (x * x - x2) % P != 0 or (x == 0 and sign):
        return None
    return P - x if x % 2 != sign else x


def decode(text):
    number = int.from_bytes(text, "little")
    y, sign = number % 2**255, number >> 255
    x = recover(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    """Extended coordinates (section 5.1.4)."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    k, m, n, o = f - e, h - g, h + g, f + e
    return k * m % P, n * o % P, m * n % P, k * o % P


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover(BASE_Y, 0), BASE_Y, 1, recover(BASE_Y, 0) * BASE_Y % P)


def signed_by(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = decode(key), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return same(multiply(s, BASE), add(r, multiply(h, a)))


# ---- Merkle trees, RFC 9162 section 2.1 --------------------------------------------------------------------------------------------

def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def includes(index, size, leaf, proof, root):
    """Section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistent(first, second, first_root, second_root, proof):
    """Section 2.1.4.2."""
    if not 1 <= first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if first & (first - 1) == 0:
        proof = [first_root, *proof]
    if not proof:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


# ---- what the vault says -----------------------------------------------------------------------------------------------------------

def raw(text):
    """base64url without padding, in its one form."""
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(value).rstrip(b"=").decode() != text:
        raise ValueError("not base64url")
    return value


def head_holds(head, key=None):
    """Its signature is right, by the key it names, and by that one."""
    lines = ["kluis-audit-head-v1", head["tenant"], str(head["size"]), head["root_hash"], head["at"]]
    if any("\n" in line for line in lines) or (key is not None and head["public_key"] != key):
        return False
    return signed_by(raw(head["public_key"]), "".join(line + "\n" for line in lines).encode(), raw(head["signature"]))


def chain_leads(keys, first, last):
    """The keys of GET /v1/audit/keys lead from one key to another by signatures of both sides."""
    at, number = first, None
    for link in keys["links"]:
        if number is None and link["old_key"] != first:
            continue
        lines = ["kluis-audit-key-v1", keys["tenant"], str(link["number"]), str(link["size"]), link["root_hash"], link["at"],
                 link["old_key"], link["new_key"], link["backup_key"] or "-"]
        text = "".join(line + "\n" for line in lines).encode()
        if link["old_key"] != at or (number is not None and link["number"] != number + 1) or any("\n" in line for line in lines):
            return False
        if not signed_by(raw(link["old_key"]), text, raw(link["old_signature"])):
            return False
        if not signed_by(raw(link["new_key"]), text, raw(link["new_signature"])):
            return False
        at, number = link["new_key"], link["number"]
        if at == last:
            return True
    return at == last


def inclusion_holds(head, proof, leaf):
    """An entry with that leaf hash is in the trail whose signed head that is."""
    return (head_holds(head) and proof["tenant"] == head["tenant"] and proof["size"] == head["size"]
            and raw(proof["leaf_hash"]) == leaf and raw(proof["root_hash"]) == raw(head["root_hash"])
            and includes(proof["leaf_index"], proof["size"], leaf, [raw(one) for one in proof["hashes"]], raw(head["root_hash"])))


def proof_holds(head, proof, entry):
    """The entry (bytes) is."""
    return inclusion_holds(head, proof, leaf_hash(entry))


def continues(old, new, proof):
    """The trail of one signed head begins with that of an older one."""
    return (head_holds(old) and head_holds(new) and old["tenant"] == new["tenant"] == proof["tenant"]
            and (proof["from"], proof["to"]) == (old["size"], new["size"])
            and raw(proof["from_root_hash"]) == raw(old["root_hash"]) and raw(proof["to_root_hash"]) == raw(new["root_hash"])
            and consistent(old["size"], new["size"], raw(old["root_hash"]), raw(new["root_hash"]), [raw(one) for one in proof["hashes"]]))


# ---- a whole trail -----------------------------------------------------------------------------------------------------------------

LOST = b'{"lost":true}'
KEEP_MIN, KEEP_DELAY_DAYS = "P1Y", 30


class Tree:
    """The frontier of a tree that grows."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def append(self, leaf):
        height, size = 0, self.size
        while size & 1:
            leaf, size, height = node_hash(self.peaks.pop(), leaf), size >> 1, height + 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def later(at, keep):
    """A time and an ISO 8601 duration of years, months, weeks and days; a day is cut to the last of its month."""
    years, months, weeks, days = (int(one or 0) for one in re.fullmatch(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?", keep).groups())
    month = at.month - 1 + months + 12 * years
    year, month = at.year + month // 12, month % 12 + 1
    at = at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
    return at + datetime.timedelta(days=7 * weeks + days)


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")


def pruning_signed(entry, tenant):
    """An entry trail_pruned is signed by the key that it names."""
    lines = ["kluis-audit-pruned-v1", tenant, str(entry["from"]), str(entry["until"]), entry["root_hash"], str(entry["policy"]), entry["keep"],
             entry["oldest_at"], entry["newest_at"], entry["at"]]
    return not any("\n" in line for line in lines) and signed_by(
        raw(entry["public_key"]), "".join(line + "\n" for line in lines).encode(), raw(entry["signature"]))


def in_time(entry, policies):
    """What went was old enough: by the least, by what the entry says, and by all policies seen that counted then."""
    at, newest = moment(entry["at"]), moment(entry["newest_at"])
    keeps = [KEEP_MIN, entry["keep"]]
    for i, (_, keep) in enumerate(policies):
        over = policies[i + 1][0] if i + 1 < len(policies) else None
        if over is None or over + datetime.timedelta(days=KEEP_DELAY_DAYS) > at:
            keeps.append(keep)
    return moment(entry["oldest_at"]) <= newest and all(keep is not None and later(newest, keep) <= at for keep in keeps)


def trail_holds(copy, key=None):
    """Lines as `kluis audit save` writes them: the entries, and the hashes of those that went, make the tree of the newest head, and of every other; what went was declared,
    signed, in time, as a part of that tree. key: one of the trail's, or that of its newest head is taken. Returns what is wrong, or None."""
    heads, keys, lost, numbered = [], None, set(), []
    for line in copy:
        if line.startswith(b'{"seq":'):
            numbered.append(line)
            continue
        value = json.loads(line)
        if "links" in value:
            keys = value
        elif "lost" in value:
            lost.update(range(value["lost"]["from"], value["lost"]["until"]))
        else:
            heads.append(value)
    head = max(heads, key=lambda one: one["size"])
    if not all(head_holds(one) and one["tenant"] == head["tenant"] for one in heads):
        return "a head is not signed"
    chain = {keys["first_key"], *(link["new_key"] for link in keys["links"])}
    if not chain_leads(keys, keys["first_key"], head["public_key"]) or keys["public_key"] != head["public_key"] or keys["tenant"] != head["tenant"] or (key or head["public_key"]) not in chain:
        return "the keys lead to no head"
    if not all(one["public_key"] in chain for one in heads):
        return "a head is of another key"
    tree, roots, policies, declared, pruned, prunings = Tree(), {}, [], 0, 0, []
    for line in numbered:
        match = re.fullmatch(rb'\{"seq":(\d+),(?:"entry":(\{.*\})|"leaf_hash":"([A-Za-z0-9_-]{43})")\}', line)
        if match is None:
            return "a line is none"
        number, text, hashed = int(match[1]), match[2], match[3]
        while tree.size < number and tree.size in lost:
            tree.append(leaf_hash(LOST))
            roots[tree.size] = tree.root()
        if number != tree.size or number >= head["size"]:
            return f"number {tree.size} is missing"
        tree.append(leaf_hash(text) if text is not None else raw(hashed.decode()))
        roots[tree.size] = tree.root()
        if text is None:
            pruned = number + 1
            continue
        entry = json.loads(text)
        if entry["action"] == "policy_apply" and entry["result"] == "ok":
            policies.append((moment(entry["at"]), entry["audit_keep"]))
        if entry["action"] == "data_restored":
            policies = []  # what was applied in the lost part is in force and unknown
        if entry["action"] == "trail_pruned":
            if not pruning_signed(entry, head["tenant"]) or entry["public_key"] not in chain or not entry["from"] < entry["until"] <= number:
                return f"entry {number} is not the vault's"
            if not in_time(entry, policies):
                return f"entry {number} says what went too early"
            prunings.append(entry)
            declared = max(declared, entry["until"])
    while tree.size < head["size"] and tree.size in lost:
        tree.append(leaf_hash(LOST))
        roots[tree.size] = tree.root()
    if any(roots.get(one["size"]) != raw(one["root_hash"]) for one in [*heads, *({"size": one["until"], **one} for one in prunings)] if one["size"] > 0):
        return "the entries do not make a tree that was signed"
    return None if pruned <= declared else "entries went that the vault did not declare"


# ---- receipts of erasures ----------------------------------------------------------------------------------------------------------

ACTIONS = {"subject": "erase", "record": "erase_record", "retained": "retention_end", "tenant": "tenant_end"}
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def identifier(prefix, text):
    """The 16 bytes of an id, in its one form."""
    if text[:len(prefix) + 1] != prefix + "_" or len(text) != len(prefix) + 27:
        raise ValueError("not an id")
    number = 0
    for digit in text[len(prefix) + 1:]:
        number = number * 32 + CROCKFORD.index(digit)
    return number.to_bytes(16, "big")


def commitment(secret, subject, record=None):
    return hashlib.blake2b(identifier("sub", subject) + (identifier("rec", record) if record else b""), digest_size=32, key=raw(secret)).digest()


def taken_apart(document):
    """What was signed, its bytes, and where signature and trail stand; of what GET gives, or of the answer to an erasure."""
    if "proof" in document:
        return json.loads(document["proof"]["signed"]), document["proof"]["signed"].encode(), document["proof"]
    said = {name: value for name, value in document.items() if name not in ("signature", "trail")}
    return said, json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode(), document


def same_around(document, said):
    """The answer to an erasure repeats what was signed, and names subject and records besides."""
    proof = document["proof"]
    lines = [{name: value for name, value in line.items() if name != "record"} for line in document["retained"]]
    return (lines == said["retained"]
            and all(document.get(name) == said.get(name) for name in
                    ("receipt", "erased_at", "records_erased", "notify", "finality", "mirrors", "lookup_traces_until", "request"))
            and all(proof[name] == said[name] for name in ("algorithm", "public_key", "commitment", "generation", "key_tree_root")))


def linked(keys):
    """The pairs of keys of a whole chain; each change is signed by both."""
    links = keys["links"]
    at = keys["first_key"]
    for i, link in enumerate(links):
        if link["old_key"] != at or not chain_leads({"tenant": keys["tenant"], "links": [link]}, link["old_key"], link["new_key"]):
            raise ValueError("a broken chain")
        if i > 0 and link["number"] != links[i - 1]["number"] + 1:
            raise ValueError("a gap in the chain")
        at = link["new_key"]
    if at != keys["public_key"]:
        raise ValueError("the chain leads elsewhere")
    return [keys["first_key"], *(link["new_key"] for link in links)]


def entry_fits(entry, said):
    """The entry is of this erasure."""
    pairs = ["receipt", "reason", "credential", "request_id", "request", "of"]
    if entry["id"] != said["entry"]["id"] or entry["action"] != ACTIONS[said["kind"]] or entry["result"] != "ok":
        return False
    if any(entry.get(name) != said.get(name) for name in pairs) or entry["generation"] != said["generation"]["to"]:
        return False
    if said["kind"] == "tenant":
        return (entry["tenant"], entry["audit_size"], entry["audit_root_hash"], entry["tenant_public_key"]) == (
            said["tenant"], said["audit"]["size"], said["audit"]["root_hash"], said["tenant_public_key"])
    return (entry["records"], entry["fields"]) == (said["records_erased"], said["fields_erased"])


def receipt_holds(document, key):
    """Signed by that key, or by one that a chain of signatures ties to it; and its erasure is in the trail, under a head signed likewise."""
    said, text, place = taken_apart(document)
    trail = place["trail"]
    known = linked(trail["keys"])
    if key not in known or said["public_key"] not in known or trail["head"]["public_key"] not in known:
        return False
    if not signed_by(raw(said["public_key"]), text, raw(place["signature"])):
        return False
    tenant = "" if said["kind"] == "tenant" else said["tenant"]
    if not trail["head"]["tenant"] == trail["keys"]["tenant"] == tenant:
        return False
    if trail["entry"] is None:  # its text is gone: the receipt names the leaf
        leaf = raw(said["entry"]["leaf_hash"])
        if not inclusion_holds(trail["head"], trail["proof"], leaf):
            return False
    elif not proof_holds(trail["head"], trail["proof"], trail["entry"].encode()):
        return False
    elif trail["proof"]["leaf_hash"] != said["entry"]["leaf_hash"] or not entry_fits(json.loads(trail["entry"]), said):
        return False
    if "proof" not in document:
        return True
    return same_around(document, said) and ("subject_secret" not in document or about(
        document, document["subject_secret"], document["subject"], document.get("record")))


def about(document, secret, subject, record=None):
    """It is about that person (and record), and each line that names its record about that."""
    said, _, _ = taken_apart(document)
    return raw(said["commitment"]) == commitment(secret, subject, record) and all(
        raw(line["commitment"]) == commitment(secret, subject, line["record"]) for line in document["retained"] if "record" in line)


def read(path, mode="r"):
    with open(path, mode, **({} if "b" in mode else {"encoding": "utf-8"})) as file:
        return file.read()


def main(*words):
    if len(words) == 1:
        wrong = trail_holds(read(words[0], "rb").splitlines())
        print("the whole trail holds" if wrong is None else f"it does not hold: {wrong}")
        holds = wrong is None
    elif len(words) == 2:
        holds = receipt_holds(json.loads(read(words[0])), words[1])
        print("the receipt holds" if holds else "it does not hold")
    else:
        holds = proof_holds(json.loads(read(words[0])), json.loads(read(words[1])), read(words[2], "rb"))
        print("the entry is in the trail of that head" if holds else "it does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
