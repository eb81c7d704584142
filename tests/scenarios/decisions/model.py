"""What Kluis decides, written from its documents (README.md, vault/README.md, the contracts in headers) and not from its C code.

It is slow and plain on purpose: a policy is the mapping that its YAML says, a subject is lists of what happened, and every question is answered from
the beginning. Times are microseconds since 1970 (UTC).
"""

import calendar
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

GATES = ["role", "purpose", "consent", "objection", "restriction", "retention", "transfer"]
VIEWS = ["plain", "masked", "token", "present"]  # a later one is stricter
ALL_GATES = {"read", "lookup", "verify", "export", "disclose"}  # actions that pass all of them, and need a purpose
SHOWS = ALL_GATES | {"report", "hold"}  # actions that pass the gate transfer: hold shows what an erasure kept
PENDING = 14 * DAY  # how long a record waits for a consent that may still be given

# The 27 members, the parts of them with a code of their own, and IS, LI, NO (EEA Agreement).
EEA = set("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK AX GF GP MF MQ RE YT IS LI NO".split())


def moment(year, month, day, hour=0):
    return (datetime(year, month, day, hour, tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)


# Decisions of the Commission under art. 45 GDPR that histories here come near to: since when, until when, whether only for a scope.
ADEQUACY = {
    "CH": (moment(2000, 7, 26), None, False),
    "CA": (moment(2001, 12, 20), None, True),
    "IL": (moment(2011, 1, 31), None, True),
    "NZ": (moment(2012, 12, 19), None, False),
    "JP": (moment(2019, 1, 23), None, True),
    "GB": (moment(2021, 6, 28), moment(2031, 12, 28), False),
    "KR": (moment(2021, 12, 17), None, True),
    "US": (moment(2023, 7, 10), None, True),
}


def text_of(time_us):
    return (EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_of(text):
    return (datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)


def add(time_us, duration):
    """A moment and an ISO 8601 duration: months by the calendar, the day cut to the month's last, then days."""
    years, months, weeks, days = (int(part or 0) for part in re.fullmatch(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?", duration).groups())
    at = EPOCH + timedelta(microseconds=time_us)
    month = at.month - 1 + months + 12 * years
    year, month = at.year + month // 12, month % 12 + 1
    at = at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
    return (at + timedelta(days=days + 7 * weeks) - EPOCH) // timedelta(microseconds=1)


# ---- hours of the day ----

ZONES = {"UTC": (0, False), "Europe/Brussels": (60, True), "Europe/Helsinki": (120, True), "Europe/Lisbon": (0, True), "Atlantic/Reykjavik": (0, False)}


def last_sunday(year, month):
    day = date(year, month, calendar.monthrange(year, month)[1])
    return day - timedelta(days=(day.weekday() + 1) % 7)


def minute_of_day(time_us, zone):
    """The minute that a clock shows there: summer time goes from the last Sunday of March to that of October, 01:00 UTC (2000/84/EC)."""
    if zone in ZONES:
        offset, has_summer = ZONES[zone]
    else:
        sign, hours, minutes = re.fullmatch(r"([+-])(\d\d):(\d\d)", zone).groups()
        offset, has_summer = int(sign + "1") * (int(hours) * 60 + int(minutes)), False
    year = (EPOCH + timedelta(microseconds=time_us)).year
    if has_summer:
        march, october = last_sunday(year, 3), last_sunday(year, 10)
        if moment(year, 3, march.day, 1) <= time_us < moment(year, 10, october.day, 1):
            offset += 60
    return (time_us // MINUTE + offset) % (24 * 60)


def within_hours(text, time_us):
    start, end, zone = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)(?: (.*))?", text).groups()
    first, last = (int(part[:2]) * 60 + int(part[3:]) for part in (start, end))
    now = minute_of_day(time_us, zone or "UTC")
    return first <= now < last if first < last else now >= first or now < last


# ---- what happened to somebody ----


@dataclass
class Consent:
    purpose: str
    recipient: str | None
    notice: str
    given: int
    expires: int | None
    explicit: bool
    ended: int | None = None  # withdrawn, or replaced by a later one

    def in_force(self, now):
        return self.ended is None and (self.expires is None or now < self.expires)


@dataclass
class Record:
    type: str
    created: int
    fields: dict
    events: dict = field(default_factory=dict)
    hold: tuple | None = None  # basis, until
    id: str = ""

    def held(self, now):
        return self.hold is not None and now < self.hold[1]


@dataclass
class Subject:
    residency: str
    records: list
    consents: list = field(default_factory=list)
    objections: dict = field(default_factory=dict)  # purpose: whether compelling grounds were recorded
    restricted: int | None = None  # since when
    id: str = ""


@dataclass
class Kept:
    """A record that an erasure kept: for each basis until when, and which fields."""

    receipt: str
    record: Record
    lines: list  # (basis, until, names of fields)
    residency: str

    def standing(self, query):
        """The lines that a query is about: all, or those of its purpose."""
        return [line for line in self.lines if query.now < line[1] and query.purpose in (None, line[0])]


@dataclass(frozen=True)
class Query:
    role: str
    purpose: str | None
    now: int
    action: str = "read"
    location: str | None = None
    recipient: str | None = None
    ground: str | None = None
    own: bool = False
    purposes: tuple | None = None  # what the credential is made for; None: any


class Policy:
    def __init__(self, text):
        self.text = text
        self.records = text["records"]
        self.purposes = text["purposes"]
        self.forbidden = text.get("forbidden_purposes", [])
        self.recipients = text.get("recipients", {})
        self.transfers = text["residency"].get("transfers", [])
        self.default_residency = text["residency"]["default"]
        self.roles = text["roles"]

    # ---- grants ----

    def condition(self, grant, query):
        """"holds"; "no", the grant is as if it were not there; "strict": it allows nothing, and still makes stricter."""
        return "no" if self.unmet(grant, query) - {"maybe"} else "strict" if self.unmet(grant, query) else "holds"

    @staticmethod
    def unmet(grant, query):
        when = grant.get("when", {})
        unmet = set()
        where = when.get("location")
        inside = query.location is None or query.location in EEA
        if where == "eea" and not inside or where == "outside_eea" and inside:
            unmet.add("location")
        if isinstance(where, list) and query.location not in where:
            # Nobody said where a credential without a place is, but that it is in the EEA.
            unmet.add("maybe" if query.location is None and EEA & set(where) else "location")
        if when.get("own_subject") and not query.own:
            unmet.add("own_subject")
        if "hours" in when and not within_hours(when["hours"], query.now):
            unmet.add("hours")
        return unmet

    @staticmethod
    def names(grant, type_, name):
        return any(pattern in ("*", f"{type_}.*", f"*.{name}", f"{type_}.{name}") for pattern in grant.get("fields", ["*"]))

    def covers(self, grant, query, type_, name):
        fits = query.purpose is None or "for" not in grant or grant["for"] == ["*"] or query.purpose in grant["for"]
        return query.action in grant["do"] and fits and self.names(grant, type_, name)

    def grants(self, query, type_, name, *conditions):
        return [grant for grant in self.roles[query.role] if self.covers(grant, query, type_, name) and self.condition(grant, query) in conditions]

    def knows_of(self, query, subject):
        """
        Whether the role may know of the subject: it has a grant for that action, on whatever field and for whatever purpose, and one of whatever action
        on a record such as the subject has.
        """
        usable = [grant for grant in self.roles[query.role] if self.condition(grant, query) == "holds"]
        types = {record.type for record in subject.records}
        of_it = any(self.names(grant, type_, name) for grant in usable for type_ in types for name in self.records[type_]["fields"])
        return any(query.action in grant["do"] for grant in usable) and (of_it or not types)

    # ---- consent ----

    def counting(self, subject, purpose, now, *recipients):
        """The consents that count now: given for this notice, not withdrawn, not over."""
        notice = self.purposes[purpose].get("notice")
        return [c for c in subject.consents if c.purpose == purpose and c.recipient in recipients and c.in_force(now) and notice in (None, c.notice)]

    def consented(self, subject, query):
        """Those that cover the query: to the controller, and to the recipient by name."""
        recipients = (None,) if query.recipient is None else (None, query.recipient)
        return self.counting(subject, query.purpose, query.now, *recipients)

    # ---- the gates ----

    def role_gate(self, query, type_, name):
        return bool(self.grants(query, type_, name, "holds"))

    def kept_for(self, type_, name):
        return self.records[type_]["fields"][name].get("purposes", self.records[type_]["purposes"])

    def purpose_gate(self, query, type_, name):
        if query.purpose is None:
            return query.action not in ALL_GATES
        if query.purposes is not None and query.purpose not in query.purposes:
            return False
        if query.recipient is not None and not {query.purpose, "*"} & set(self.recipients[query.recipient]["purposes"]):
            return False
        return query.purpose in self.kept_for(type_, name)

    def consent_gate(self, subject, query, type_, name):
        special = "special" in self.records[type_]["fields"][name]
        if not self.allows(self.consented(subject, query), query.purpose, special):
            return False
        needed = self.recipients[query.recipient].get("consent") if query.recipient is not None else None
        return needed is None or self.allows(self.counting(subject, needed, query.now, query.recipient), needed, special)

    def allows(self, consents, purpose, special):
        """Whether these consents are what a purpose asks for, on a field of a special category or another."""
        rule = self.purposes[purpose]
        if rule["basis"] == "explicit_consent" or special and "ground" not in rule:
            return any(c.explicit for c in consents)
        return rule["basis"] != "consent" or bool(consents)

    def claims(self, query, type_, name, *grounds):
        return query.ground in grounds and any(query.ground in grant.get("grounds", []) for grant in self.grants(query, type_, name, "holds"))

    def objection_gate(self, subject, query, type_, name):
        purpose = self.purposes[query.purpose]
        if subject.objections.get(query.purpose, True) or query.own or purpose.get("answers_rights"):
            return True
        return not purpose.get("direct_marketing") and self.claims(query, type_, name, "legal_claim")

    def restriction_gate(self, subject, query, type_, name):
        if subject.restricted is None or query.own or self.purposes[query.purpose].get("answers_rights"):
            return True
        if any(c.given > subject.restricted for c in self.consented(subject, query)):
            return True
        return self.claims(query, type_, name, "legal_claim", "protect_person", "public_interest")

    def clock(self, purpose, record, consents):
        """When the clock of a purpose has run out for a record; None: it has none, or did not start."""
        retain = self.purposes[purpose].get("retain", "none")
        if retain == "none":
            return None
        duration, event = retain.split(" after ")
        if event == "created":
            start = record.created
        elif event == "consent":
            start = max((c.given for c in consents), default=None)
        else:
            start = record.events.get(event)
        return None if start is None else add(start, duration)

    def retention_gate(self, subject, query, record):
        if record is None:
            return True
        end = self.clock(query.purpose, record, self.consented(subject, query))
        return end is None or query.now < end

    def line_allows(self, line, subject, query, country, is_recipient):
        if "purposes" in line and query.purpose not in line["purposes"] or "recipients" in line and query.recipient not in line["recipients"]:
            return False
        if line["to"] != "adequate" and country not in line["to"]:
            return False
        mechanism = line.get("mechanism", "adequate")
        if mechanism == "explicit_consent":
            # A consent by name covers the use by that recipient: the way to it, not the way to where somebody reads for it.
            recipients = (None, query.recipient) if is_recipient else (None,)
            return query.purpose in self.purposes and any(c.explicit for c in self.counting(subject, query.purpose, query.now, *recipients))
        if mechanism != "adequate":
            return True
        since, until, scoped = ADEQUACY.get(country, (None, None, False))
        if since is None or query.now < since or until is not None and query.now >= until or line["to"] == "adequate" and country == "US":
            return False
        scope = line.get("scope", [])
        told = is_recipient and self.recipients[query.recipient].get("scope") == "accepted"
        return not scoped or scope == "accepted" or country in scope or told

    def lines(self, subject, query):
        """The transfer lines that allow each way out of the EEA that the query takes: to the credential's place, to the recipient."""
        ways = []
        if query.location is not None and query.location not in EEA:
            ways.append((query.location, False))
        if query.recipient is not None and self.recipients[query.recipient]["country"] not in EEA:
            ways.append((self.recipients[query.recipient]["country"], True))
        if subject.residency == "none":
            ways = []
        return [[line for line in self.transfers if self.line_allows(line, subject, query, *way)] for way in ways]

    def decide(self, query, subject, record, type_, name):
        """Each gate's own answer, and the view when all are yes."""
        passes = {gate: True for gate in GATES}
        passes["role"] = self.role_gate(query, type_, name)
        passes["purpose"] = self.purpose_gate(query, type_, name)
        if query.action in ALL_GATES and query.purpose in self.purposes:
            passes["consent"] = self.consent_gate(subject, query, type_, name)
            passes["objection"] = self.objection_gate(subject, query, type_, name)
            passes["restriction"] = self.restriction_gate(subject, query, type_, name)
            passes["retention"] = self.retention_gate(subject, query, record)
        lines = self.lines(subject, query) if query.action in SHOWS else []
        passes["transfer"] = all(lines)
        views = [grant.get("view", "plain") for grant in self.grants(query, type_, name, "holds", "strict")]
        views += [line.get("view", "plain") for way in lines for line in way]
        if self.records[type_]["fields"][name]["type"] == "secret":
            views.append("present")
        return passes, max(views, key=VIEWS.index, default="plain")

    def outcome(self, query, subject, record, name):
        """The gate that withholds a field, or None; and the view."""
        passes, view = self.decide(query, subject, record, record.type, name)
        return next((gate for gate in GATES if not passes[gate]), None), view

    def unmet_of(self, query, type_, name):
        """Where the role does not pass: conditions because of which a grant does not count."""
        if self.role_gate(query, type_, name):
            return set()
        return {"location" if word == "maybe" else word for grant in self.roles[query.role] if self.covers(grant, query, type_, name)
                for word in self.unmet(grant, query)}

    def decide_kept(self, query, kept):
        """
        Of a record that an erasure kept, what each field is: for whoever holds it, as the credential's place allows; or, for the purpose that is its
        basis, as a read past all gates. None: it is not there, as for a role that has nothing to do with such records. Of the person nothing is known
        any more.
        """
        of_it = any(self.role_gate(query, kept.record.type, name) for name in self.records[kept.record.type]["fields"])
        standing = kept.standing(query)
        if not of_it or not standing:
            return None
        person = Subject(kept.residency, [kept.record])
        names = {name for _, _, names in standing for name in names}
        outcomes = {name: self.outcome(query, person, kept.record, name) for name in kept.record.fields if name in names}
        return {name: outcome for name, outcome in outcomes.items() if outcome[0] != "role"}

    # ---- how long ----

    def may_object(self, purpose):
        return self.purposes[purpose]["basis"] in ("legitimate_interest", "public_task") or bool(self.purposes[purpose].get("direct_marketing"))

    def events(self, type_):
        retains = [self.purposes[purpose].get("retain", "none") for purpose in self.records[type_]["purposes"]]
        return {retain.split(" after ")[1] for retain in retains if retain != "none"} - {"created", "consent"}

    def keeps(self, purpose, record, subject, now):
        """Until when a purpose keeps a record, if it is a reason to keep any: (True, moment or None where no end is known)."""
        rule = self.purposes[purpose]
        if rule.get("retain") == "none":
            return False, None
        if rule["basis"] not in ("consent", "explicit_consent"):
            return True, self.clock(purpose, record, [])
        # To whomever it was given, and for whatever notice, a consent keeps the record while it is in force. Where none was given since the record is
        # there, one may still come.
        given = [c for c in subject.consents if c.purpose == purpose]
        ends = [min((end for end in (self.clock(purpose, record, [c]), c.expires, c.ended) if end is not None), default=None) for c in given]
        if not any(c.given >= record.created for c in given):
            ends.append(record.created + PENDING)
        return True, None if None in ends else max(ends)

    def due(self, record, subject, now):
        """No purpose keeps the record any more, nobody holds it, and its subject is not restricted."""
        if subject.restricted is not None or record.held(now):
            return False
        ends = [end for reason, end in (self.keeps(p, record, subject, now) for p in self.records[record.type]["purposes"]) if reason]
        return bool(ends) and all(end is not None and end <= now for end in ends)

    def obligations(self, record, now):
        """The legal obligations that keep some field of a record although its subject is erased now: (purpose, until, names of fields), as the policy names them."""
        kept = []
        for purpose, rule in self.purposes.items():
            if purpose in self.records[record.type]["purposes"] and rule["basis"] == "legal_obligation" and rule.get("retain", "none") != "none":
                end = self.clock(purpose, record, [])
                if end is None:
                    end = add(now, rule["retain"].split(" after ")[0])
                names = [name for name in record.fields if purpose in self.kept_for(record.type, name)]
                if end > now and names:
                    kept.append((purpose, end, names))
        return kept

    def erasure_keeps(self, record, now):
        """
        What an erasure keeps of a record: (basis, until, names of fields), for its hold the whole, and for each obligation its own. An obligation under
        whose name the record is held longer adds nothing.
        """
        held = [(*record.hold, list(record.fields))] if record.held(now) else []
        return held + [line for line in self.obligations(record, now) if not any(basis == line[0] and until >= line[1] for basis, until, _ in held)]

    def edges(self, subject, now):
        """Moments ahead at which some answer changes."""
        found = [edge for since, until, _ in ADEQUACY.values() for edge in (since, until) if edge]
        for record in subject.records:
            found += [record.created + PENDING] + [record.hold[1] for _ in (1,) if record.hold]
            for purpose in self.records[record.type]["purposes"]:
                found += [self.clock(purpose, record, [c]) for c in subject.consents if c.purpose == purpose]
                found.append(self.clock(purpose, record, []))
        found += [c.expires for c in subject.consents]
        for hours in {grant["when"]["hours"] for grants in self.roles.values() for grant in grants if "hours" in grant.get("when", {})}:
            found.append(next((edge for edge in range(now - now % (30 * MINUTE), now + 25 * HOUR, 30 * MINUTE)
                               if edge > now and within_hours(hours, edge) != within_hours(hours, now)), None))
        return sorted({edge for edge in found if edge is not None and edge > now})
