"""A history told to the vault and to the model at once; whatever they say is compared."""

from driver import Tenant
from model import DAY, GATES, Consent, Kept, Policy, Query, Record, Subject, text_of, time_of
from strategies import VALUES

LIFE = 3650 * DAY  # of the credentials: no history is longer
RECIPIENT_READS = 60  # each is written down as a disclosure, and a subject has room for so many
EXPLAINED_EVERY = 3


class Difference(AssertionError):
    """What the vault and the model say of the same thing is not the same."""


def same(what, vault, model):
    if vault != model:
        raise Difference(f"{what}\n  the vault: {vault}\n  the model: {model}")


def shown(text, record, name, view):
    """What a field looks like in an answer."""
    rule = text["records"][record.type]["fields"][name]
    given, kept, masks = VALUES[rule["type"]][record.fields[name]]
    return {"plain": given if kept is None else kept, "masked": masks.get(rule["mask"], "***"), "token": "a token", "present": True}[view]


def said_of(record):
    """Each field of a record in an answer: the gate that withholds it, or how it is shown."""
    said = dict(record["withheld"])
    for name, value in record["fields"].items():
        view = record["views"].get(name, "plain")
        said[name] = view, "a token" if view == "token" and str(value).startswith("tok_") else value
    return said


class Story:
    """Of one person under one policy, in a tenant of its own."""

    def __init__(self, driver, case, counts):
        self.case = case
        self.counts = counts
        self.now = self.start = case["start"]
        self.policy = Policy(case["policies"][0])
        self.tenant = Tenant(driver, self.now, case["policies"][0])
        self.subject = None  # as the model has it; None: it was erased
        self.gone = None  # its id then
        self.kept = []  # what an erasure kept
        self.recipient_reads = 0
        self.questions = 0

    def tell(self):
        self.create()
        for step in self.case["history"] + [self.case["last"]]:
            self.now += 1
            getattr(self, step[0])(*step[1:])
            self.glance()
        self.tenant.end(self.start)

    # ---- asking the vault ----

    def ask(self, method, target, body=None, role="officer", location=None, purposes=None, **more):
        return self.tenant.driver.call(self.now, self.tenant.token(self.now, role, location, purposes), method, target, body, **more)

    def of_subject(self, rest=""):
        return f"/v1/subjects/{self.subject.id if self.subject else self.gone}{rest}"

    def change(self, what, method, rest, expected, body=None, **more):
        """A change of the subject. Returns the answer where it is a success, which both have to say."""
        status, answer = self.ask(method, self.of_subject(rest), body, **more)
        if self.subject is None and expected != 409:  # what contradicts the policy is told whoever it is about
            expected = 404
        same(f"status of {what} ({answer})", status, expected)
        return answer if status < 300 else None

    # ---- what happens ----

    def create(self):
        records = [Record(type_, self.now, dict(fields)) for type_, fields in self.case["records"]]
        body = {"records": [{"type": record.type, "fields": {name: self.value(record, name) for name in record.fields}} for record in records]}
        body["records"][0]["consents"] = [{"purpose": purpose, "notice": notice, "channel": "form", "explicit": explicit}
                                          for purpose, notice, explicit in self.case["consents"]]
        if self.case["residency"]:
            body["residency"] = self.case["residency"]
        status, answer = self.ask("POST", "/v1/subjects", body)
        same(f"status of create ({answer})", status, 201)
        self.subject = Subject(self.case["residency"] or self.policy.default_residency, records, id=answer["id"])
        same("residency", answer["residency"], self.subject.residency)
        for record, made in zip(records, answer["records"]):
            record.id = made["id"]
        for purpose, notice, explicit in self.case["consents"]:
            self.end_consents(purpose, None)
            self.subject.consents.append(Consent(purpose, None, notice, self.now, None, explicit))

    def value(self, record, name):
        return VALUES[self.policy.records[record.type]["fields"][name]["type"]][record.fields[name]][0]

    def record(self, number):
        return self.subject.records[number % len(self.subject.records)] if self.subject and self.subject.records else None

    def wait(self, time_us):
        self.now = max(self.now, min(self.now + time_us, self.start + LIFE))

    def edge(self, number, beside_us):
        edges = [edge for edge in self.policy.edges(self.subject, self.now) if edge < self.start + LIFE] if self.subject else []
        if edges:
            self.now = max(self.now, edges[number % len(edges)] + beside_us)

    def consent(self, purpose, recipient, notice, explicit, back_us, ahead_us):
        given, expires = self.now - back_us, None if ahead_us is None else self.now + ahead_us
        body = {"notice": notice, "channel": "form", "explicit": explicit, "at": text_of(given)}
        body.update({key: value for key, value in (("recipient", recipient), ("expires", expires and text_of(expires))) if value})
        self.change("consent", "PUT", f"/consents/{purpose}", 204, body)
        if self.subject:
            self.end_consents(purpose, recipient)  # the one in force is replaced
            self.subject.consents.append(Consent(purpose, recipient, notice, given, expires, explicit))

    def end_consents(self, purpose, recipient):
        """Those that stand, past their own end too: whoever withdraws need not know of it."""
        found = [c for c in self.subject.consents if c.purpose == purpose and c.recipient == recipient and c.ended is None] if self.subject else []
        for consent in found:
            consent.ended = self.now
        return found

    def withdraw(self, purpose, recipient):
        found = self.end_consents(purpose, recipient)
        self.change("withdraw", "DELETE", f"/consents/{purpose}" + (f"?recipient={recipient}" if recipient else ""), 204 if found else 404)

    def object(self, purpose, compelling):
        rule = self.policy.purposes[purpose]
        possible = self.policy.may_object(purpose)
        absolute = compelling and rule.get("direct_marketing", False)
        body = dict({"ground": "situation"}, **({"compelling_grounds": "ours prevail"} if compelling else {}))
        self.change("object", "PUT", f"/objections/{purpose}", 409 if not possible or absolute else 204, body)
        if self.subject and possible and not absolute:
            self.subject.objections[purpose] = compelling

    def unobject(self, purpose):
        found = self.subject is not None and purpose in self.subject.objections
        self.change("unobject", "DELETE", f"/objections/{purpose}", 204 if found else 404)
        if found:
            del self.subject.objections[purpose]

    def restrict(self):
        self.change("restrict", "PUT", "/restriction", 204, {"ground": "accuracy_contested"})
        if self.subject and self.subject.restricted is None:
            self.subject.restricted = self.now

    def lift(self):
        found = self.subject is not None and self.subject.restricted is not None
        self.change("lift", "DELETE", f"/restriction?told_at={text_of(self.now)}", 204 if found else 404)
        if found:
            self.subject.restricted = None

    def event(self, number, event, at_us):
        record = self.record(number)
        if record is None:
            return
        known = event in self.policy.events(record.type)
        answer = self.change("event", "POST", f"/records/{record.id}/events", 200 if known else 422, {"event": event, "at": text_of(self.now + at_us)})
        if answer:
            record.events[event] = self.now + at_us
            self.same_keeping(record, answer["kept_for"])

    def same_keeping(self, record, kept_for):
        said = {item["purpose"]: None if item["until"] is None else time_of(item["until"]) for item in kept_for}
        for purpose in self.policy.records[record.type]["purposes"]:
            reason, until = self.policy.keeps(purpose, record, self.subject, self.now)
            same(f"whether {purpose} is a reason to keep {record.type}", purpose in said, reason)
            if reason and (until is None or until > self.now):
                same(f"until when {purpose} keeps {record.type}", said[purpose] and text_of(said[purpose]), until and text_of(until))
            elif reason:
                same(f"whether {purpose} keeps {record.type} no longer", said[purpose] is not None and said[purpose] <= self.now, True)
            self.counts["decisions"] += 1

    def unevent(self, number, event):
        record = self.record(number)
        if record is not None:
            self.change("unevent", "DELETE", f"/records/{record.id}/events/{event}", 204 if event in record.events else 404)
            record.events.pop(event, None)

    def hold(self, number, basis, ahead_us):
        record = self.record(number)
        if record is not None:
            self.change("hold", "PUT", f"/records/{record.id}/hold", 204, {"basis": basis, "until": text_of(self.now + ahead_us)})
            record.hold = (basis, self.now + ahead_us)

    def release(self, number):
        record = self.record(number)
        if record is not None:
            self.change("release", "DELETE", f"/records/{record.id}/hold", 204 if record.held(self.now) else 404)
            record.hold = None

    def patch(self, number, name_number, value):
        record = self.record(number)
        if record is None:
            return
        names = list(self.policy.records[record.type]["fields"])
        name = names[name_number % len(names)]
        rule = self.policy.records[record.type]["fields"][name]
        fields = {name: None if value is None else VALUES[rule["type"]][value][0]}
        answer = self.change("patch", "PATCH", f"/records/{record.id}", 200, {"fields": fields}, if_match="*")
        if answer and value is None:
            record.fields.pop(name, None)
        elif answer:
            record.fields[name] = value

    def move(self, residency):
        self.change("move", "PATCH", "", 200, {"residency": residency})
        if self.subject:
            self.subject.residency = residency

    def change_policy(self):
        text = self.case["policies"][-1]
        self.tenant.apply(self.now, text)
        self.policy = Policy(text)

    def night(self):
        """What is due is erased; what was kept and came to its end is shredded."""
        status, answer = self.tenant.driver.call(self.now, self.tenant.steward, "POST", "/v1/retention/runs", {})
        same("status of a retention run", status, 202)
        same("status of upkeep", self.tenant.driver.upkeep(self.now)[0], 200)
        answer = self.tenant.expect(200, self.now, self.tenant.steward, "GET", f"/v1/retention/runs/{answer['id']}")
        due = [record for record in self.subject.records if self.policy.due(record, self.subject, self.now)] if self.subject else []
        whole = bool(due) and len(due) == len(self.subject.records)
        same("subjects and records erased at night", (answer["subjects_erased"], answer["records_erased"]), (int(whole), 0 if whole else len(due)))
        self.counts["decisions"] += len(self.subject.records) if self.subject else 0
        if whole:
            self.forget()
        for record in due:
            if self.subject:
                self.subject.records.remove(record)

    def forget(self):
        self.gone, self.subject = self.subject.id, None

    def erase_record(self, number):
        record = self.record(number)
        if record is None:
            return
        held = bool(self.policy.erasure_keeps(record, self.now))
        if self.change("erase_record", "DELETE", f"/records/{record.id}", 409 if held else 200):
            self.subject.records.remove(record)

    def erase(self):
        receipt = self.change("erase", "POST", "/erase", 200, {"reason": "request"})
        if receipt is None:
            return
        kept = []
        for record in self.subject.records:
            lines = self.policy.erasure_keeps(record, self.now)
            if lines:
                kept.append(Kept(receipt["receipt"], record, lines, self.subject.residency))
        said = [(item["record"], item["basis"], item["until"]) for item in receipt["retained"]]
        same("what an erasure keeps", said, [(item.record.id, basis, text_of(until)) for item in kept for basis, until, _ in item.lines])
        self.counts["decisions"] += len(self.subject.records)
        self.kept += kept
        self.forget()

    # ---- what is seen ----

    def askers(self):
        """All roles in all places; those of the self-service are bound to the subject, and some credentials made for some purposes."""
        for role in self.policy.roles:
            for place in self.case["places"] if role != "officer" else self.case["places"][:1]:
                yield role, place, None, False
        if self.subject and "self" in self.policy.roles:
            yield "self", self.case["places"][0], None, True
        if self.case["single"]:
            yield "reader", self.case["places"][-1], tuple(self.case["single"]), False

    def look(self, by_name, ground, recipient):
        """Everybody reads everything for every purpose; then each gate's answer is asked for."""
        for role, place, purposes, bound in self.askers():
            id_ = self.subject.id if self.subject else self.gone
            token = self.tenant.token(self.now, role, place, purposes, id_ if bound else None)
            queries = []
            for purpose in list(self.policy.purposes) + self.policy.forbidden:
                queries.append(Query(role, purpose, self.now, location=place, ground=ground, own=bound, purposes=purposes))
                if recipient and self.recipient_reads < RECIPIENT_READS:
                    self.recipient_reads += 1
                    queries.append(Query(role, purpose, self.now, location=place, recipient=recipient, ground=ground, own=bound, purposes=purposes))
            self.read(token, queries, by_name)
        if self.subject:
            self.explain(ground, recipient)
        self.look_at_kept()

    def glance(self):
        """What happened acts on the next read."""
        place = self.case["places"][0]
        queries = [Query("reader", purpose, self.now, location=place) for purpose in self.policy.purposes]
        self.read(self.tenant.token(self.now, "reader", place), queries, True)

    def read(self, token, queries, by_name):
        operations = []
        for query in queries:
            operation = {"op": "read", "subject": self.subject.id if self.subject else self.gone, "purpose": query.purpose}
            operation.update({key: value for key, value in (("recipient", query.recipient), ("ground", query.ground)) if value})
            if by_name:
                operation["fields"] = [f"{type_}.{name}" for type_ in self.policy.records for name in self.policy.records[type_]["fields"]]
            operations.append(operation)
        status, answer = self.tenant.driver.call(self.now, token, "POST", "/v1/batch", {"operations": operations})
        same(f"status of a batch ({answer})", status, 200)
        for query, result in zip(queries, answer["results"]):
            self.same_read(query, result, by_name)

    def same_read(self, query, result, by_name):
        if self.subject is None or not self.policy.knows_of(query, self.subject):
            same(f"status of {query}", result["status"], 404)
            self.counts["decisions"] += 1
            return
        same(f"status of {query} ({result})", result["status"], 200)
        found = {record["id"]: record for record in result["result"]["records"]}
        if any(id_.startswith("tok_") for id_ in found):
            self.same_pseudonyms(query, found, by_name)
            return
        same(f"records in the answer to {query} that are none", set(found) - {record.id for record in self.subject.records}, set())
        for record in self.subject.records:
            self.same_record(query, record, found.get(record.id, {"fields": {}, "views": {}, "withheld": {}}), by_name)

    def same_pseudonyms(self, query, found, by_name):
        """Who is shown nothing but tokens is not told which record is which: they are compared as a heap."""
        same(f"who reads tokens alone is shown more openly by {query}",
             {view for record in found.values() for view in record["views"].values()} - {"token", "present"}, set())
        said = [(record["type"], said_of(record)) for record in found.values()]
        expected = [(record.type, self.expected_of(query, record, by_name)) for record in self.subject.records]
        heaps = [sorted(repr((type_, sorted(fields.items(), key=repr))) for type_, fields in heap if fields) for heap in (said, expected)]
        same(f"{query} under pseudonyms\n  {self.subject}", *heaps)

    def same_record(self, query, record, found, by_name):
        same(f"{query} of {record}\n  {self.subject}", said_of(found), self.expected_of(query, record, by_name))

    def expected_of(self, query, record, by_name):
        outcomes = {name: self.policy.outcome(query, self.subject, record, name) for name in record.fields}
        self.counts["decisions"] += len(outcomes)
        for gate, view in outcomes.values():
            self.counts[gate or view] += 1
        return self.told_of(record, {name: outcome for name, outcome in outcomes.items() if by_name or outcome[0] != "role"})

    def told_of(self, record, outcomes):
        return {name: gate or (view, shown(self.policy.text, record, name, view)) for name, (gate, view) in outcomes.items()}

    def explain(self, ground, recipient):
        """Each gate's own answer to a steward's question, for actions that no role asks by itself here."""
        for role, place, action, purpose in self.explained():
            body = {"role": role, "action": action, "purpose": purpose, "subject": self.subject.id}
            body.update({key: value for key, value in (("from", place), ("recipient", recipient), ("ground", ground)) if value})
            answer = self.tenant.expect(200, self.now, self.tenant.steward, "POST", "/v1/explain", body)
            query = Query(role, purpose, self.now, action=action, location=place, recipient=recipient, ground=ground)
            for item in answer["fields"]:
                self.same_explanation(query, item)

    def explained(self):
        """Every EXPLAINED_EVERY-th question, another one each time: each looks for the shortest change of policy too, and costs many reads."""
        for role in self.policy.roles:
            for place in self.case["places"]:
                for action in self.case["actions"]:
                    for purpose in list(self.policy.purposes) + self.policy.forbidden:
                        self.questions += 1
                        if self.questions % EXPLAINED_EVERY == 0:
                            yield role, place, action, purpose

    def same_explanation(self, query, item):
        type_, name = item["field"].split(".")
        # Of several records of a type, the one that may be used longest speaks for it.
        records = [record for record in self.subject.records if record.type == type_] or [None]
        passes, view = max((self.policy.decide(query, self.subject, record, type_, name) for record in records), key=lambda found: found[0]["retention"])
        gate = next((gate for gate in GATES if not passes[gate]), None)
        if query.purpose in self.policy.forbidden:  # it has no basis that the other gates could ask about
            item["gates"], passes = ({word: gates[word] for word in ("role", "purpose")} for gates in (item["gates"], passes))
        said = item["withheld"], item["view"], item["gates"], sorted(item["conditions"])
        same(f"explanation of {item['field']} to {query}\n  {self.subject}", said,
             (gate, view if gate is None else None, passes, sorted(self.policy.unmet_of(query, type_, name))))
        self.counts["decisions"] += 1

    def look_at_kept(self):
        """What an erasure kept, for the officer who holds it, and for whoever reads for the purpose that is its basis."""
        for kept in [kept for kept in self.kept if kept.record.fields]:
            for role, place, purposes, bound in self.askers():
                if not bound:
                    self.read_kept(kept, Query(role, None, self.now, action="hold", location=place, purposes=purposes))
                    for purpose in self.policy.purposes:
                        self.read_kept(kept, Query(role, purpose, self.now, location=place, purposes=purposes))

    def read_kept(self, kept, query):
        target = f"/v1/erasures/{kept.receipt}/records/{kept.record.id}" + (f"?purpose={query.purpose}" if query.purpose else "")
        status, answer = self.ask("GET", target, role=query.role, location=query.location, purposes=query.purposes)
        expected = self.policy.decide_kept(query, kept)
        same(f"status of {query} of what was kept, {kept} ({answer})", status, 404 if expected is None else 200)
        self.counts["decisions"] += len(kept.record.fields)
        if expected is not None:
            holds = [{"basis": basis, "until": text_of(until)} for basis, until, _ in kept.standing(query)]
            same("why it is kept", answer["holds"], holds)
            same("the hold that ends last", answer["hold"], max(holds, key=lambda hold: time_of(hold["until"])))
            same(f"{query} of what is kept of {kept.record}", said_of(answer["record"]), self.told_of(kept.record, expected))
