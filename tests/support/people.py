"""People in a vault, and what is known of each: for the tests of faults, with tests/faults/policy.yaml.

Every value is a canary: a text that occurs nowhere else, so that finding it anywhere in the open is a leak.
"""
import copy
import hashlib
import http.client
import json
import ssl
import string
import threading

from kluis import Client

GONE = (OSError, http.client.HTTPException, ssl.SSLError)  # what a request meets when the server ends
INDEXED = ("email", "login", "phone", "code")
LAWS = {"books": ("account", "notes"), "tax": ("name", "notes")}  # what they keep of a bill


def iban(number):
    """A valid Dutch account number (ISO 13616) at the bank KANA."""
    account = f"KANA{number:010d}"
    digits = "".join(str(string.digits.index(c)) if c in string.digits else str(ord(c) - 55) for c in account + "NL00")
    return f"NL{98 - int(digits) % 97:02d}{account}"


class Refused(Exception):
    """An answer that was not the one wanted."""

    def __str__(self):
        return f"{self.args[0].request}: {self.args[0].status} {self.args[0].body[:500]}"


def want(status, answer):
    if answer.status != status:
        raise Refused(answer)
    return answer


class Canaries:
    """Makes values that differ from all others; remembers them."""

    def __init__(self, chance):
        self.chance, self.count, self.texts = chance, 0, []

    def tag(self):
        self.count += 1
        return f"{self.count:06d}{self.chance.choice(string.ascii_lowercase)}{self.chance.randrange(36 ** 5):08d}"

    def value(self, field):
        """A value as it is kept, and the text of it that must never be seen in the open (None: too short to be told from chance)."""
        tag, number = self.tag(), self.count
        value, text = {
            "name": lambda: (f"Kanarie {tag}",) * 2,
            "email": lambda: (f"kanarie.{tag}@mail.example",) * 2,
            "login": lambda: (f"kanarie-{tag}",) * 2,
            "phone": lambda: (f"+32739184{number:06d}",) * 2,
            "birth": lambda: (f"19{number % 90 + 10}-0{number % 9 + 1}-1{number % 9}", None),
            "joined": lambda: (f"1971-02-0{number % 9 + 1}T03:04:05.{number:06d}Z",) * 2,
            "number": lambda: (7391842600000 + number, str(7391842600000 + number)),
            "member": lambda: (number % 2 == 0, None),
            "country": lambda: (self.chance.choice(("NL", "BE", "NO", "IE")), None),
            "account": lambda: (iban(number),) * 2,
            "address": lambda: (f"2001:db8:7391:{number // 10000 + 1:x}::{number % 10000 + 4096:x}",) * 2,
            "notes": lambda: ({"kanarie": f"Kanarie {tag}", "n": [number, None]}, f"Kanarie {tag}"),
            "title": lambda: (f"Kanarie {tag} " + "x" * self.chance.choice((0, 0, 0, 900, 9000)), f"Kanarie {tag}"),
            "code": lambda: (f"kanarie-{tag}",) * 2,
            "evidence": lambda: (f"Kanarie said so {tag}",) * 2,
            "source": lambda: (f"kanarie-{tag}",) * 2,
        }[field]()
        if text is not None:
            self.texts.append(text)
        return value

    def person(self):
        fields = ["name", "email", "login"] + [name for name in ("phone", "birth", "joined", "number", "member", "country", "account",
                                                                 "address", "notes") if self.chance.random() < 0.4]
        return {name: self.value(name) for name in fields}

    def file(self):
        """The bytes of a file, with a canary all over it."""
        text = f"Kanarie {self.tag()} "
        self.texts.append(text)
        return text.encode() * self.chance.choice((1, 9, 3000, 9000))

    def order(self):
        return {"title": self.value("title"), "code": self.value("code")}

    def bill(self):
        return {field: self.value(field) for field in ("name", "account", "notes", "address")}


class Person:
    """What one person is to be: records by a name of ours, each {type, fields, id, version}; None for erased, or not there yet."""

    def __init__(self):
        self.id = None
        self.records = {}
        self.consents = []  # (evidence, whether it was withdrawn), in order
        self.said = []  # notes of requests and disclosures; not part of state()
        self.there = False
        self.receipts = []
        self.ever = set()  # every indexed value: ("person.email", value)
        self.sure = set()  # those of them that were acknowledged
        self.erased = []  # ids of records
        self.retained = []  # what an erasure kept: a record for each basis, with the fields that are kept for it, and the receipt (None: not told)
        self.tokens = {}  # by recipient: what stands for the person there, and for the name; not part of state()

    def copy(self):
        return copy.deepcopy(self)

    def note_values(self):
        for record in self.records.values():
            self.ever |= {(f"{record['type']}.{name}", value) for name, value in record["fields"].items() if name in INDEXED}

    def state(self):
        """To compare with observe()."""
        if not self.there:
            return None
        found = {(f"{record['type']}.{name}", value) for record in self.records.values()
                 for name, value in record["fields"].items() if name in INDEXED}
        return {"records": sorted((record["type"], json.dumps(record["fields"], sort_keys=True)) for record in self.records.values()),
                "found": sorted(found), "consents": self.consents}


def find(client, person):
    """The ids that a person's values lead to."""
    found = set()
    for field, value in person.ever:
        answer = client.post("/v1/lookup", {"field": field, "value": value, "purpose": "service"}, validate=False)
        found.update(want(200, answer)["subjects"])
    return found


def file_of(content):
    """What is shown of a file."""
    return {"size": len(content), "media_type": "text/x-kanarie", "sha256": hashlib.sha256(content).hexdigest()}


def check_file(client, there, record):
    """A record's file is there, and what is said of it."""
    said = record["fields"].get("scan")
    if said is not None:
        got = want(200, client.get(f"{there}/records/{record['id']}/files/scan?purpose=service", validate=False))
        assert file_of(got.body) == said, f"the file of {record['id']} is {file_of(got.body)}, and not {said}"


def check_tokens(client, person, subject):
    """What recipients know the person by leads to them; subject None: to nobody."""
    for recipient, tokens in person.tokens.items():
        answer = client.post("/v1/tokens/resolve", {"tokens": tokens, "recipient": recipient, "purpose": "service"}, validate=False)
        led = {one["subject"] for one in want(200, answer)["results"]}
        assert led == {subject}, f"tokens of {person.id} lead to {led}, and not to {subject}"


def observe(client, person):
    """What the vault says of somebody: as Person.state(); ids it told us nothing of are found by the values."""
    values = sorted(person.ever)
    found, ids = [], set()
    for field, value in values:
        seen = client.post("/v1/lookup", {"field": field, "value": value, "purpose": "service"}, validate=False)
        seen = want(200, seen)["subjects"]
        if seen:
            found.append((field, value))
            ids.update(seen)
    if person.id is not None:
        ids.add(person.id)
    assert len(ids) <= 1, f"several subjects are found by one person's values: {ids} {values}"
    subject = ids.pop() if ids else None
    there = f"/v1/subjects/{subject}"
    seen = client.get(f"{there}?purpose=service", validate=False) if subject is not None else None
    if seen is None or (seen.status == 404 and not found):
        check_tokens(client, person, None)
        return None
    check_tokens(client, person, subject)
    want(200, seen)
    for record in seen["records"]:
        check_file(client, there, record)
    consents = want(200, client.get(f"{there}/consents", validate=False))["consents"]
    return {"records": sorted((record["type"], json.dumps(record["fields"], sort_keys=True)) for record in seen["records"]),
            "found": found,
            "consents": [(one.get("evidence"), one["withdrawn_at"] is not None) for one in consents]}


# ---- what is done to people: each gives the person afterwards, and a request that makes it so ----------------------------------

def create(canaries, before, record=None):
    after, record = before.copy(), record or canaries.person()
    after.there = True
    after.records = {"main": {"type": "person", "fields": record, "id": None, "version": 1}}
    source = canaries.value("source")
    after.note_values()

    def send(client):
        answer = want(201, client.post("/v1/subjects", {"records": [{"type": "person", "fields": record, "source": source}]},
                                       headers={"Idempotency-Key": source}, validate=False))
        after.id, after.records["main"]["id"] = answer["id"], answer["records"][0]["id"]

    return after, send


def add(canaries, before, name, kind="order"):
    """An order, or a bill."""
    after, fields = before.copy(), canaries.order() if kind == "order" else canaries.bill()
    after.records[name] = {"type": kind, "fields": fields, "id": None, "version": 1}
    after.note_values()

    def send(client):
        answer = want(201, client.post(f"/v1/subjects/{before.id}/records", {"type": kind, "fields": fields}, validate=False))
        after.records[name]["id"] = answer["id"]

    return after, send


def patch(canaries, before, name, chosen=()):
    """New values for the chosen fields, or for some; then one may go away."""
    after = before.copy()
    record = after.records[name]
    fields = {field: canaries.value(field) for field in chosen} or \
        {field: canaries.value(field) for field in record["fields"] if field != "scan" and canaries.chance.random() < 0.5} or \
        {next(iter(record["fields"])): canaries.value(next(iter(record["fields"])))}
    removed = [field for field in fields if field not in ("login", "email", "name", "title") and canaries.chance.random() < 0.2]
    record["fields"].update(fields)
    for field in removed:
        del record["fields"][field]
    record["version"] += 1
    after.note_values()

    def send(client):
        want(200, client.patch(f"/v1/subjects/{before.id}/records/{record['id']}",
                               {"fields": {**fields, **{field: None for field in removed}}},
                               headers={"If-Match": f'"{record["version"] - 1}"'}, validate=False))

    return after, send


def put_file(canaries, before, name):
    """A file for an order; over another one, where there is one."""
    after, content = before.copy(), canaries.file()
    record = after.records[name]
    record["fields"]["scan"] = file_of(content)
    record["version"] += 1

    def send(client):
        want(200, client.put(f"/v1/subjects/{before.id}/records/{record['id']}/files/scan", content, type="text/x-kanarie",
                             headers={"If-Match": f'"{record["version"] - 1}"'}, validate=False))

    return after, send


def kept_of(record):
    """What an erasure keeps of a record: for its hold all of it, for each law what that needs."""
    bases = {"bookkeeping": tuple(record["fields"])} if record.get("held") else {}
    bases.update(LAWS if record["type"] == "bill" else {})
    lines = [(basis, {name: value for name, value in record["fields"].items() if name in names}) for basis, names in bases.items()]
    return [{**record, "basis": basis, "fields": fields, "receipt": None} for basis, fields in lines if fields]


def erase(before, key=None):
    """key: asked with that Idempotency-Key."""
    after = before.copy()
    after.retained = [line for record in after.records.values() for line in kept_of(record)]
    after.there, after.records, after.consents, after.said = False, {}, [], []

    def send(client):
        if key is None:
            answer = client.delete(f"/v1/subjects/{before.id}", validate=False)
        else:
            answer = client.post(f"/v1/subjects/{before.id}/erase", {}, headers={"Idempotency-Key": key}, validate=False)
        answer = want(200, answer)
        after.receipts.append(answer["receipt"])
        said = sorted((one.get("record"), one["basis"]) for one in answer["retained"])
        assert said == sorted((line["id"], line["basis"]) for line in after.retained), f"kept of {before.id}: {said}"
        for line in after.retained:
            line["receipt"] = answer["receipt"]

    return after, send


def end_kept(before, number):
    """One of the lines that an erasure kept comes to its end; to be asked for again when nobody told of it."""
    after = before.copy()
    line = after.retained.pop(number)
    there = f"/v1/erasures/{line['receipt']}/records/{line['id']}?basis={line['basis']}"

    def send(client):
        answer = client.delete(there, validate=False)
        if answer.status != 404:
            after.receipts.append(want(200, answer)["receipt"])

    return after, send


def check_kept(client, person):
    """Of each record there is what its lines keep, and nothing else."""
    kept = {}
    for line in person.retained:
        if line["receipt"] is not None:
            kept.setdefault((line["receipt"], line["id"]), {}).update(line["fields"])
    for (receipt, record), fields in kept.items():
        seen = want(200, client.get(f"/v1/erasures/{receipt}/records/{record}", validate=False))["record"]["fields"]
        assert seen == fields, f"kept of {record} is {seen}, and not {fields}"


def erase_record(before, name):
    after = before.copy()
    record = after.records.pop(name)
    after.erased.append(record["id"])

    def send(client):
        answer = want(200, client.delete(f"/v1/subjects/{before.id}/records/{record['id']}", validate=False))
        after.receipts.append(answer["receipt"])

    return after, send


def hold(before, name):
    """The record outlives an erasure of the person."""
    after = before.copy()
    record = after.records[name]
    record["held"] = True

    def send(client):
        want(204, client.put(f"/v1/subjects/{before.id}/records/{record['id']}/hold",
                             {"basis": "bookkeeping", "until": "2036-01-01T00:00:00Z"}, validate=False))

    return after, send


def consent(canaries, before):
    """For somebody without a consent in force."""
    after, evidence = before.copy(), canaries.value("evidence")
    after.consents.append((evidence, False))

    def send(client):
        want(204, client.put(f"/v1/subjects/{before.id}/consents/news", {"notice": "n1", "channel": "web", "evidence": evidence},
                             validate=False))

    return after, send


def ask(canaries, before):
    """A request of that person, or a disclosure made elsewhere; with a note."""
    after, note = before.copy(), canaries.value("evidence")
    after.said.append(note)
    what = {"target": "/v1/requests", "body": {"subject": before.id, "right": "access", "note": note}}
    if canaries.chance.random() < 0.5:
        what = {"target": f"/v1/subjects/{before.id}/disclosures",
                "body": {"recipient": "printer", "purpose": "service", "fields": ["person.name"], "note": note}}

    def send(client):
        want(201 if what["target"] == "/v1/requests" else 204, client.post(what["target"], what["body"], validate=False))

    return after, send


def show(before, recipient):
    """Shown to somebody outside the EEA."""
    after = before.copy()

    def send(client):
        shown = want(200, client.get(f"/v1/subjects/{before.id}?purpose=service&fields=person.name&recipient={recipient}", validate=False))
        main = next(record for record in shown["records"] if record["type"] == "person")
        after.tokens[recipient] = [shown["id"], main["fields"]["name"]]
        assert after.tokens[recipient] == before.tokens.get(recipient, after.tokens[recipient]), f"{before.id} has other tokens than before"

    return after, send


def withdraw(before):
    after = before.copy()
    after.consents[-1] = (before.consents[-1][0], True)

    def send(client):
        want(204, client.delete(f"/v1/subjects/{before.id}/consents/news", validate=False))

    return after, send


def has_line(before, line):
    """Whether a backup has what a line keeps: its values lie with all others, and nobody reads those that are younger."""
    known = [one for one in [*before.records.values(), *before.retained] if one["id"] == line["id"]] if before is not None else []
    return any(line["fields"].items() <= one["fields"].items() for one in known)


def put_back(person, before):
    """What a restore makes of somebody: as at the backup, but for what was erased or withdrawn since. before None: they came later."""
    if before is None or not person.there:
        after = erase(person)[0] if person.there else person.copy()
        after.receipts = []
        after.retained = [] if person.there else [line if has_line(before, line) else {**line, "receipt": None} for line in person.retained]
        return after
    after = before.copy()
    after.ever, after.sure, after.erased = person.ever, person.sure, person.erased
    after.records = {name: record for name, record in before.records.items() if record["id"] not in person.erased}
    after.consents = [(evidence, person.consents[i][1]) for i, (evidence, _) in enumerate(before.consents)]
    return after


# ---- many of them --------------------------------------------------------------------------------------------------------------

class World:
    """What is known: people by name, what was acknowledged, and what is under way: alternatives of which each is as good."""

    def __init__(self, chance):
        self.canaries = Canaries(chance)
        self.people = {}
        self.under_way = {}  # name: the person, if the request under way was done
        self.trail_size = 0
        self.closed, self.closing = set(), set()  # what else was closed, acknowledged or not


def do(client, world, step, unanswered=GONE):
    """One step; parts of it at once. False: not all of it was acknowledged."""
    parts, failures = step(world), []
    for name, after, _ in parts:
        if name is not None:
            world.under_way[name] = after

    def part(name, after, send, own):
        try:
            send(own)
            if name is not None:
                after.sure |= after.ever
                world.people[name] = after
                del world.under_way[name]
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=part, args=(*one, Client(client.vault, client.token))) for one in parts[1:]]
    for thread in threads:
        thread.start()
    part(*parts[0], client)
    for thread in threads:
        thread.join()
    for error in failures:
        if not isinstance(error, unanswered):
            raise error
    return not failures


def learn_records(client, person):
    """The ids of records that nobody was told of."""
    for record in person.records.values():
        if record["id"] is None:
            seen = want(200, client.get(f"/v1/subjects/{person.id}?purpose=service", validate=False))["records"]
            record["id"] = next(one["id"] for one in seen if (one["type"], one["fields"]) == (record["type"], record["fields"]))


def hold_again(client, person, other):
    """Nothing shows whether somebody's record is held: where that was under way it is done once more."""
    for name, record in other.records.items():
        if record.get("held") and name in person.records and not person.records[name].get("held"):
            hold(person, name)[1](client)
            person.records[name]["held"] = True


def end_again(client, person, other):
    """Nothing shows of who is gone whether one of what is kept had come to its end: it is asked for once more."""
    for number, line in reversed(list(enumerate(person.retained))):
        if not person.there and not other.there and line["receipt"] is not None and line not in other.retained:
            after, send = end_kept(person, number)
            send(client)
            person.retained = after.retained


def settle(client, world):
    """Everybody is as the world knows them; what was under way was wholly done, or not at all, and is known afterwards."""
    for name in sorted(set(world.people) | set(world.under_way)):
        person = world.people.get(name)
        if person is None:
            person = Person()
        other = world.under_way.get(name)
        if other is not None:  # what it would have told us of itself was not told
            person = person.copy()
            person.ever |= other.ever
        seen = observe(client, person)
        good = [person.state()] + ([other.state()] if other is not None else [])
        assert seen in good, f"{name} is {seen}, and not {' or '.join(map(str, good))}"
        for receipt in person.receipts:
            want(200, client.vault.steward().get(f"/v1/erasures/{receipt}", validate=False))
        if other is not None and seen != person.state():
            other.id = person.id or find(client, other).pop()
            learn_records(client, other)
            world.people[name] = other
        elif name not in world.people:
            world.people[name] = person
        if other is not None and world.people[name] is not other:
            hold_again(client, world.people[name], other)
            end_again(client, world.people[name], other)
        check_kept(client, world.people[name])
    world.under_way = {}
