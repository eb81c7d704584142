"""What hoarder_adversary found, held against what is known of everybody in the vault."""
import collections
import hashlib
import json
import math
import pathlib
import shutil
import subprocess

from kluis import KLUISD, check, equal

SUPPORT = pathlib.Path(KLUISD).parent / "tests/support"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SIGMAS_MAX = 4.5  # how far from chance a share of guesses may lie: seen by chance once in 150,000 runs
PADDING = 0x80


# ---- the adversary -------------------------------------------------------------------------------------------------------------

Line = collections.namedtuple("Line", "kind tenant slot value order key contexts plain")


class Findings:
    """What hoarder_adversary wrote down."""

    def __init__(self, path):
        self.opened = {"control": [], "attack": [], "cross": []}
        self.sums, self.leaks, self.closed, self.addresses = {}, [], [], []
        self.macs = {"control": set(), "attack": set()}
        for text in path.read_text().splitlines():
            word, *rest = text.split(" ")
            if word in self.opened:
                kind, tenant, slot, value, order, key, contexts, plain = rest
                self.opened[word].append(Line(kind, int(tenant), int(slot), int(value), int(order), bytes.fromhex(key), int(contexts),
                                              b"" if plain == "-" else bytes.fromhex(plain)))
            elif word == "sum":
                self.sums[rest[0]] = self.sums.get(rest[0], 0) + int(rest[1])
            elif word == "leak":
                self.leaks.append((int(rest[0]), rest[1]))
            elif word == "closed":
                self.closed.append((rest[0], int(rest[1]), int(rest[2])))
            elif word == "mac":
                self.macs[rest[0]].add((int(rest[1]), bytes.fromhex(rest[2])))
            elif word == "address":
                self.addresses.append((rest[0], int(rest[1]), int(rest[2]), int(rest[3]), bytes.fromhex(rest[4])))


def attack(place, watch, needles, cross):
    out, texts = watch.folder / "findings", watch.folder / "needles"
    texts.write_text("".join(needle.hex() + "\n" for needle in needles))
    more = ["--root", str((place.folder / "root/root.key").resolve())]
    if (place.folder / "mirror").exists():
        more += ["--root", str((place.folder / "mirror/root").resolve())]
    for final in ("data/keys", "data/data", "mirror/keys"):
        if (place.folder / final).exists():
            copied = watch.folder / "final" / final
            shutil.copytree(place.folder / final, copied)
            more += ["--final", str(copied)]
    subprocess.run([str(SUPPORT / "hoarder_adversary"), str(watch.log), str(out), *more, "--needles", str(texts),
                    *(["--cross"] if cross else [])], check=True)
    shutil.rmtree(watch.folder / "final")
    return Findings(out)


# ---- what the formats say ------------------------------------------------------------------------------------------------------

def id_bytes(text):
    """An id as it is kept (include/kluis/base/id.h): 128 bits in Crockford base 32 behind a prefix."""
    number = 0
    for letter in text.split("_")[1]:
        number = number * 32 + CROCKFORD.index(letter)
    return number.to_bytes(17, "big")[1:]


def mac_of(key, place, label, data):
    """A MAC under the key of a place (kms/format.h)."""
    numbers = b"".join(number.to_bytes(8, "big") for number in place)
    return hashlib.blake2b(b"kluis/mac/1" + numbers + len(label).to_bytes(4, "big") + label + data, key=key, digest_size=32).digest()


def unpadded(plain):
    body = plain.rstrip(b"\0")
    check(body[-1] == PADDING, "a value is padded")
    return body[:-1]


class Manifest:
    """A record's manifest (vault/manifest.h)."""

    def __init__(self, text, slot):
        self.text, self.at, self.slot = text, 1, slot
        self.id = self.take(16)
        self.type, self.source = self.name(), self.name()
        self.version, _ = self.number(8), self.number(8)
        self.fields = [self.field() for _ in range(self.number(2))]
        self.past = [self.field() for _ in range(self.number(2))]

    def take(self, count):
        self.at += count
        return self.text[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def name(self):
        return self.take(self.number(1)).decode()

    def field(self):
        name, _ = self.name(), self.take(2)
        return name, self.number(8), self.number(8)


def value_is(plain, value):
    text = unpadded(plain).decode()
    if isinstance(value, dict):
        return json.loads(text) == value
    if isinstance(value, bool):
        return text == str(value).lower()
    return text == str(value)


def entries_of(plain):
    """(tag, slot, discriminator) of a bucket's base or delta (vault/index_bucket.h)."""
    size, extra = (32, 0) if plain[0] == 1 else (33, 1)
    for at in range(1, len(plain), size):
        entry = plain[at + extra:at + size]
        yield entry[:16], int.from_bytes(entry[16:24], "big"), int.from_bytes(entry[24:], "big")


def discriminator(record, field):
    return int.from_bytes(hashlib.blake2b(record + field.encode(), digest_size=16).digest()[:8], "big")


BASE_BYTES = 1 + 16 + 1 + 1 + 4 + 8 + 8 + 16  # of a base without handles


def handles_of(base):
    """What leads from recipients' tokens to the subject of that base (vault/manifest.h)."""
    count = int.from_bytes(base[BASE_BYTES:BASE_BYTES + 2], "big") if base[0] == 2 else 0
    check(len(base) == BASE_BYTES + (2 + 16 * count if count else 0), "a base and its handles")
    return [base[at:at + 16] for at in range(BASE_BYTES + 2, len(base), 16)]


def token_bytes(token):
    """The check and the masked handle of a token (vault/pseudonym.h)."""
    return id_bytes(token[:30]), id_bytes("tok_" + token[30:])


class View:
    """What one reader has, by slot. macs: (tenant, key) of MACs."""

    def __init__(self, lines, macs=()):
        self.macs, self.handles = macs, collections.defaultdict(set)  # by handle: places
        self.bases, self.manifests, self.kept, self.values, self.entries = {}, {}, {}, {}, collections.defaultdict(set)
        self.slots = collections.defaultdict(set)
        self.files = collections.defaultdict(dict)  # by place and value slot: each file's chunks by number
        for line in sorted(lines, key=lambda line: line.order):
            place = (line.tenant, line.slot)
            if line.kind == "F":  # its row key is made of the file's id and the chunk's number
                self.files[(place, line.value)].setdefault(line.key[:8], {})[int.from_bytes(line.key[8:], "big")] = line.plain
            if line.kind in "HVIJKF":
                self.slots[place].add((line.kind, line.value))
            if line.kind == "H" and line.value == 0:
                self.bases[unpadded(line.plain)[1:17]] = place
                for handle in handles_of(unpadded(line.plain)):
                    self.handles[handle].add(place)
            elif line.kind == "H":
                manifest = Manifest(unpadded(line.plain), line.value)
                self.manifests.setdefault((place, manifest.id), []).append(manifest)
            elif line.kind == "K":  # the base, and then the manifest (vault/retained.c)
                text = unpadded(line.plain)
                manifest = Manifest(text[8 + int.from_bytes(text[:4], "big"):], line.value)
                self.kept.setdefault((place, manifest.id), []).append(manifest)
            elif line.kind == "V":
                self.values.setdefault((place, line.value), []).append(line.plain)
            elif line.kind == "B":
                for tag, slot, number in entries_of(line.plain):
                    self.entries[(line.tenant, slot)].add((tag, number))

    def led_to(self, token):
        """Whom a token leads to, for who has all of this."""
        masked_with, masked = token_bytes(token)
        found = set()
        for tenant, key in self.macs:
            mask = mac_of(key, (tenant, 2, 2 ** 64 - 1), b"pseudonym mask", masked_with)
            found |= self.handles.get(bytes(a ^ b for a, b in zip(masked, mask)), set())
        return found

    def has_record(self, place, person_record, kept=False):
        """Whether a manifest of that record leads to exactly these values."""
        manifests = (self.kept if kept else self.manifests).get((place, id_bytes(person_record["id"])), [])
        return any(self.leads_to(place, manifest, person_record) for manifest in reversed(manifests))

    def leads_to(self, place, manifest, person_record):
        fields = {name: value for name, value, _ in manifest.fields}
        return set(fields) == set(person_record["fields"]) and \
            self.has_file(place, fields.get("scan"), person_record["fields"].get("scan")) and all(any(value_is(plain, value) for plain in self.values.get((place, fields[name]), ()))
                                                                    for name, value in person_record["fields"].items())


    def has_file(self, place, value, said):
        """Whether the chunks of one file of that value slot, in their order, are what is said of it."""
        whole = [b"".join(chunks[number] for number in sorted(chunks)) for chunks in self.files.get((place, value), {}).values()]
        return said is None or said["sha256"] in [hashlib.sha256(one).hexdigest() for one in whole]


# ---- the verdict ---------------------------------------------------------------------------------------------------------------

def everybody(workers):
    return [person for worker in workers for person in worker.world.people.values() if person.id is not None]


def tokens_of(person):
    return [token for tokens in person.tokens.values() for token in tokens]


def judge_control(control, workers):
    """With all root keys that ever were: everybody is found, the erased too, and everything that was ever acknowledged of them."""
    texts = collections.defaultdict(list)
    for (place, _), plains in control.values.items():
        texts[place] += plains
    for person in everybody(workers):
        check(id_bytes(person.id) in control.bases, f"the control knows {person.id}")
        place = control.bases[id_bytes(person.id)]
        for token in tokens_of(person):
            equal(control.led_to(token), {place}, f"the control knows where a token of {person.id} leads")
        known = b"\n".join(texts[place])
        for field, value in person.ever:
            if (field, value) in person.sure:
                check(value.encode() in known, f"the control reads {field} of {person.id}")


def judge_living(found, control, workers):
    living = [person for person in everybody(workers) if person.there]
    for person in living:
        place = found.bases.get(id_bytes(person.id))
        check(place is not None, f"the adversary is blind: it does not find {person.id}, who lives")
        for record in person.records.values():
            check(found.has_record(place, record), f"the adversary is blind: it does not read a record of {person.id}")
        texts = b"\n".join(plain for (at, _), plains in found.values.items() if at == place for plain in plains)
        for evidence, _ in person.consents:
            check(evidence.encode() in texts, f"the adversary is blind: it does not read evidence of {person.id}")
        for note in person.said:
            check(note.encode() in texts, f"the adversary is blind: it does not read what was said of {person.id}")
        check((place in found.entries), f"the adversary is blind: it finds no way to {person.id}")
        for token in tokens_of(person):
            equal(found.led_to(token), {place}, f"the adversary is blind: where a token of {person.id} leads")
    for person in everybody(workers):
        for record in person.retained:
            check(found.has_record(control.bases[id_bytes(person.id)], record, True),
                  f"the adversary is blind: it does not read a record that was kept of {person.id}")
    return len(living)


def allowed_of(person, place, control):
    """What may be read of somebody erased: of each line that was kept the values of its own fields, as they were last, and what leads to them."""
    allowed = set()
    for record in person.retained:
        for manifest in control.kept[(place, id_bytes(record["id"]))]:
            if {name for name, _, _ in manifest.fields} != set(record["fields"]):
                continue
            allowed |= {(kind, value) for _, value, _ in manifest.fields for kind in "VF"} | {("K", manifest.slot)}
    return allowed


def judge_erased(found, control, workers):
    """What is found of those who were erased: must be nothing, but for the controls."""
    count, hits = 0, []
    for person in everybody(workers):
        place = control.bases[id_bytes(person.id)]
        if not person.there:
            count += 1
            left = found.slots.get(place, set()) - allowed_of(person, place, control)
            hits += [f"{kind} {value} of {person.id}" for kind, value in left]
            hits += [f"lookup entries of {person.id}"] if found.entries.get(place) else []
            hits += [f"where {token} of {person.id} leads" for token in tokens_of(person) if found.led_to(token)]
        for record in person.erased:
            count += 1
            versions = control.manifests[(place, id_bytes(record))]
            numbers = {discriminator(id_bytes(record), name) for one in versions for name, _, _ in one.fields + one.past}
            hits += [f"the manifest of {record}"] if (place, id_bytes(record)) in found.manifests else []
            hits += [f"a value of {record}" for one in versions for _, value, _ in one.fields + one.past
                     if (place, value) in found.values or (place, value) in found.files]
            hits += [f"a lookup entry of {record}" for _, number in found.entries.get(place, ()) if number in numbers]
    return count, hits


def past_values(found, control, workers):
    """Values that were replaced and still open: those that a sweep has still to shred."""
    open_values = set()
    for person in everybody(workers):
        place = control.bases[id_bytes(person.id)]
        for record in person.records.values() if person.there else ():
            manifest = control.manifests[(place, id_bytes(record["id"]))][-1]
            current = {value for _, value, _ in manifest.fields}
            every = {value for one in control.manifests[(place, id_bytes(record["id"]))] for _, value, _ in one.fields + one.past}
            open_values |= {(place, value) for value in every - current
                            if (place, value) in found.values or (place, value) in found.files}
    return open_values


# ---- guessing ------------------------------------------------------------------------------------------------------------------

def tag_of(key, tenant, slot, field, value):
    """The tag under which a value is found, for who has the key of the index's addresses (kms/format.h, vault/index.c)."""
    sized = b"".join(len(part).to_bytes(4, "big") + part for part in (field.encode(), value.encode()))
    return mac_of(key, (tenant, slot, 2 ** 64 - 1), b"index-tag", sized)[:16]


def rewritten(findings):
    """When which bucket was written anew, as an erasure does: (place in the log, tenant, epoch, depth, prefix), in order."""
    found = []
    for line in findings.opened["control"]:
        if line.kind == "B" and line.key[-1] == 0 and int.from_bytes(line.key[22:26], "big") > 1:
            found.append((line.order, line.tenant, int.from_bytes(line.key[9:13], "big"), line.key[13],
                          int.from_bytes(line.key[14:22], "big")))
    return sorted(found)


def covers(bucket, tag):
    _, _, _, depth, prefix = bucket
    bits = int.from_bytes(tag[:8], "big")
    return depth == 0 or bits >> (64 - depth) == prefix >> (64 - depth)


def share_of(buckets):
    """The share of all tags that these buckets hold."""
    parts = {(bucket[3], bucket[4] >> (64 - bucket[3])) for bucket in buckets}
    widest = [(depth, bits) for depth, bits in parts
              if not any(other < depth and bits >> (depth - other) == prefix for other, prefix in parts)]
    return min(1.0, sum(2.0 ** -depth for depth, _ in widest))


def guesses(findings, workers, control):
    """For each guess at a value of the erased, with each key that is had for any index's addresses: whether it points to a bucket that was
    written anew while they were erased, and how likely a made-up value does."""
    keys = {(tenant, slot, key) for phase, tenant, slot, _, key in findings.addresses if phase == "attack"}
    buckets, seen = rewritten(findings), []
    for worker in workers:
        for name, (before, after) in worker.windows.items():
            person = worker.world.people[name]
            tenant = control.bases[id_bytes(person.id)][0]
            near = [bucket for bucket in buckets if before <= bucket[0] < after and bucket[1] == tenant and bucket[3] > 0]
            for of, slot, key in keys:
                for field, value in person.sure if of == tenant and near else ():
                    if field == "order.code":  # may have gone with its record, earlier
                        continue
                    tag = tag_of(key, of, slot, field, value)
                    seen.append((any(covers(bucket, tag) for bucket in near), share_of(near)))
    return seen


def judge_guesses(findings, workers, control, swept):
    """Who has a guess at an address and all bytes, the times of all writes among them."""
    seen = guesses(findings, workers, control)
    hits, by_chance = sum(hit for hit, _ in seen), sum(share for _, share in seen)
    spread = math.sqrt(sum(share * (1 - share) for _, share in seen))
    sigmas = (hits - by_chance) / spread if spread > 0 else 0.0
    old = {(tenant, slot, key) for phase, tenant, slot, epoch, key in findings.addresses if phase == "control"}
    now = {(tenant, slot, key) for phase, tenant, slot, epoch, key in findings.addresses if phase == "attack"}
    print(f"{len(seen)} guesses at values of the erased: {hits} point to a bucket that their erasure touched, {by_chance:.0f} would by chance "
          f"({sigmas:+.1f} sigmas); {len(now & old)} keys of index addresses of {len(old)} are had", flush=True)
    if swept:
        check(0 < len(now & old) <= len({(tenant, slot) for tenant, slot, _ in now}), "of each index that is in use there is one key")
        epochs = {(tenant, epoch) for phase, tenant, _, epoch, _ in findings.addresses if phase == "attack"}
        equal(len(epochs), len({tenant for tenant, _ in epochs}), "and none of an index before it")
        check(abs(sigmas) < SIGMAS_MAX, "after a sweep a guess is no better than chance")
    elif len({(tenant, epoch) for _, tenant, _, epoch, _ in findings.addresses}) == len({one[1] for one in findings.addresses}):
        equal(hits, len(seen), "without a sweep a guess can be tested: so the test would notice")


def lost_values(before, after):
    """Texts that somebody was changed to after the backup that was put back."""
    return [value for _, value in set(after.ever) - set(before.ever) if "kanarie" in value.lower()]


def judge_lost(found, control, lost):
    """None of them is read any more once the restore is finished; with the root keys of then all are, but for what never was acknowledged."""
    count, seen, hits = 0, 0, []
    for person, texts in lost:
        place = control.bases[id_bytes(person.id)]
        plain = {view: b"\n".join(text for (at, _), plains in view.values.items() if at == place for text in plains) for view in (found, control)}
        for text in texts:
            count += 1
            seen += text.encode() in plain[control]
            hits += [f"{text} of {person.id}"] if text.encode() in plain[found] else []
    check(seen > count // 2 > 0, f"with the old root keys {seen} of {count} values of after the backup are read: else the test is blind")
    equal(hits, [], "of what people were changed to after the backup nothing is read")
    print(f"{seen} values of after the backup are not read any more", flush=True)


def judge_statistics(findings, needles):
    """What waits for statistics is in general words alone, and goes with its tenant; what is published is of nobody."""
    control, found = ([line for line in findings.opened[who] if line.kind in "GP"] for who in ("control", "attack"))
    check(any(line.kind == "G" for line in control), "the adversary is blind: nothing is given to statistics")
    hits = [line.kind for line in control if any(needle in line.plain for needle in needles)]
    equal(hits, [], "not even with every key is there a value, or an id, in what is kept for statistics")
    ended = {line.tenant for line in control if line.kind == "H"} - {line.tenant for line in findings.opened["attack"] if line.kind == "H"}
    equal([line.tenant for line in found if line.kind == "G" and line.tenant in ended], [], "what waited when the tenant ended is noise")
    print(f"statistics: {len(found)} of {len(control)} rows are read, all in general words", flush=True)


def needles_of(workers, place):
    """What must be nowhere in the open: values, ids, tokens."""
    needles = [text.encode() for worker in workers for text in worker.world.canaries.texts]
    for person in everybody(workers):
        ids = [person.id, *person.erased, *(record["id"] for record in person.records.values())]
        needles += [form for one in ids for form in (one.encode(), id_bytes(one))]
        needles += [form for one in tokens_of(person) for form in (one.encode(), *token_bytes(one))]
    needles += [path.read_text().strip().encode() for path in place.credentials.glob("*.credential")]
    return needles


def judge(place, watch, workers, cross, swept, lost=None):
    needles = needles_of(workers, place)
    findings = attack(place, watch, needles, cross)
    sums = findings.sums
    control = View(findings.opened["control"], findings.macs["control"])
    found = View(findings.opened["attack"], findings.macs["attack"])
    print(json.dumps(sums), flush=True)
    equal(sums["final.unseen"], 0, "every row of the stores at the end was seen")
    check({kind for kind, _, _ in findings.closed} <= {"B", "F"}, "the control opens all but what was prepared for a commit that never was")
    judge_control(control, workers)
    for number, where in findings.leaks[:5]:
        print(f"in the open: {'a key' if number < 0 else needles[number]} at {where}", flush=True)
    equal(len(findings.leaks), 0, "nothing lies in the open")
    log = place.log().encode()
    equal([needle for needle in needles if needle in log], [], "nor in what the server says")
    judge_guesses(findings, workers, control, swept)
    judge_statistics(findings, needles)
    living = judge_living(found, control, workers)
    count, hits = judge_erased(found, control, workers)
    with_old, seen = judge_erased(control, control, workers)
    check(len(seen) >= with_old, "with the old root keys all of the erased are found")
    equal(hits, [], "of the erased nothing is found")
    equal(findings.opened["cross"], [], "nor with any key on anything")
    if lost is not None:
        judge_lost(found, control, lost)
    waiting = past_values(found, control, workers)
    if swept:
        equal(waiting, set(), "after a sweep no replaced value opens")
    print(f"{sum(len(tokens_of(person)) for person in everybody(workers) if person.there)} tokens lead to who lives, "
          f"{sum(len(tokens_of(person)) for person in everybody(workers) if not person.there)} to nobody any more", flush=True)
    print(f"{living} live and are found; {count} erased subjects and records are not; {len(waiting)} replaced "
          f"values wait for a sweep", flush=True)
