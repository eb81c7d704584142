"""Random policies that are valid by construction, and histories of somebody under one. What is drawn first is the simplest, so that failures shrink to it."""

from hypothesis import strategies as st

from model import DAY, HOUR, MINUTE, moment

BASES = ["contract", "consent", "legitimate_interest", "legal_obligation", "legal_obligation", "explicit_consent", "consent", "public_task", "precontract",
         "vital_interest"]
OBJECTABLE = ("legitimate_interest", "public_task")
CONSENTS = ("consent", "explicit_consent")
PURPOSES = ["service", "news", "survey", "books", "rights", "promo"]
FORBIDDEN = "resale"
EVENTS = ["end", "start"]
NOTICES = ["n1", "n2"]
RETAINS = ["none", "P1M after end", "P1Y after end", "P7Y after end", "P1M after start", "P4W after created", "P1Y2M3D after created", "P3M after created"]
# Fields, with the masks that fit their types; and two values of each type: as it goes in, as it comes out, and what is shown of it masked.
MASKS = {
    "text": ["initials", "last4", "***"], "email": ["email", "***"], "date": ["year", "***"], "iban": ["last4", "country", "***"],
    "phone": ["last4", "country", "***"], "number": ["last4", "***"], "boolean": ["***"], "country": ["***"],
}
VALUES = {
    "text": [("Ana Maria Peeters", None, {"initials": "A. M. P.", "last4": "***ters"}), ("Jan Janssens", None, {"initials": "J. J.", "last4": "***sens"})],
    "email": [("ana@mail.example", None, {"email": "a***@mail.example"}), ("Jan@MAIL.example", "Jan@mail.example", {"email": "J***@mail.example"})],
    "date": [("1984-05-06", None, {"year": "1984"}), ("2001-02-28", None, {"year": "2001"})],
    "iban": [("BE68 5390 0754 7034", "BE68539007547034", {"last4": "***7034", "country": "BE"}),
             ("NL91ABNA0417164300", None, {"last4": "***4300", "country": "NL"})],
    "phone": [("+32470123456", None, {"last4": "***3456", "country": "+32"}), ("+31201234567", None, {"last4": "***4567", "country": "+31"})],
    "number": [(123456789, None, {"last4": "***6789"}), (55512345678, None, {"last4": "***5678"})],
    "boolean": [(True, None, {}), (False, None, {})],
    "country": [("BE", None, {}), ("NO", None, {})],
}
FIELDS = {"name": "text", "email": "email", "birth": "date", "iban": "iban", "phone": "phone", "score": "number", "member": "boolean", "origin": "country"}
TYPES = ["person", "client"]
PLACES = [None, "BE", "GB", "US", "CA", "NO", "JP", "IN", "CH", "RE", "KR"]
OUTSIDE = [place for place in PLACES[2:] if place not in ("NO", "RE")]
GROUNDS = ["legal_claim", "protect_person", "public_interest"]
ACTIONS = ["read", "lookup", "export", "disclose", "verify", "report", "write", "erase", "hold", "consent", "restrict", "object", "manage_requests"]
DOES = [["read"], ["read"], ["read"], ["read", "lookup", "export", "disclose", "verify"], ["report"], ["write", "erase"], ["hold"]]
HOURS = ["08:00-18:00 Europe/Brussels", "22:00-06:00 Europe/Helsinki", "09:00-17:00", "00:00-12:00 +05:30", "12:00-23:30 Europe/Lisbon", "18:00-02:30 -03:00"]
ROLES = ["reader", "clerk", "self"]
OFFICER = {"do": ["write", "consent", "restrict", "object", "erase", "hold"], "fields": ["*"]}


def rarely(draw, number=4):
    """True once in so many."""
    return draw(st.integers(0, number - 1)) == number - 1


def some(draw, names, at_least=1):
    """Some of them, in their order; the first one at the least."""
    return [name for i, name in enumerate(names) if draw(st.booleans()) or i < at_least]


def few(draw, names, most):
    return draw(st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True))


def purpose(draw):
    rule = {"basis": draw(st.sampled_from(BASES))}
    retain = draw(st.sampled_from([None] + RETAINS + (["P1Y after consent", "P1M after consent"] if rule["basis"] in CONSENTS else [])))
    if retain:
        rule["retain"] = retain
    if rule["basis"] in CONSENTS and draw(st.booleans()):
        rule["notice"] = draw(st.sampled_from(NOTICES))
    if rarely(draw):
        rule["ground"] = "health_care"
    if rarely(draw):
        rule["direct_marketing"] = True
    if rule["basis"] == "legal_obligation" and rarely(draw, 3):
        rule["answers_rights"] = True
    return rule


def records(draw, purposes):
    found = {}
    for type_ in some(draw, TYPES):
        kept_for = purposes if draw(st.booleans()) else few(draw, purposes, len(purposes))
        fields = {}
        for name in few(draw, sorted(FIELDS), 4):
            fields[name] = {"type": FIELDS[name], "mask": draw(st.sampled_from(MASKS[FIELDS[name]]))}
            if rarely(draw):
                fields[name]["special"] = "health"
            if rarely(draw):
                fields[name]["purposes"] = few(draw, kept_for, len(kept_for))
        found[type_] = {"purposes": kept_for, "fields": fields}
    return found


def recipients(draw, purposes, rules):
    found = {}
    consents = [name for name in purposes if rules[name]["basis"] in CONSENTS]
    for name in ["printer", "speaker"][:draw(st.integers(0, 2))]:
        found[name] = {"kind": "processor", "country": draw(st.sampled_from(["BE"] + OUTSIDE)), "purposes": few(draw, purposes, 3)}
        if rarely(draw):
            found[name]["purposes"] = ["*"]
        if consents and draw(st.booleans()):
            found[name]["consent"] = draw(st.sampled_from(consents))
        if rarely(draw):
            found[name]["scope"] = "accepted"
    return found


def transfer(draw, purposes, named):
    line = {"to": "adequate"}
    if draw(st.booleans()):
        line = {"to": few(draw, OUTSIDE, 3), "mechanism": draw(st.sampled_from(["standard_clauses", "explicit_consent", "adequate", "derogation_contract"]))}
    if draw(st.booleans()):
        line["purposes"] = few(draw, purposes, 2)
    if named and rarely(draw, 3) or line.get("mechanism") == "adequate" and "US" in line["to"] and named:
        line["recipients"] = few(draw, named, 2)
    if line.get("mechanism", "adequate") == "adequate":
        if line["to"] != "adequate" and "US" in line["to"] and "recipients" not in line:
            line["to"] = ["GB"]
        scoped = ["CA", "JP", "KR"] if line["to"] == "adequate" else [place for place in line["to"] if place in ("CA", "JP", "KR", "US")]
        scope = draw(st.integers(0, 2))
        if scope == 1:
            line["scope"] = "accepted"
        elif scope == 2 and scoped:
            line["scope"] = few(draw, scoped, 2)
    if draw(st.booleans()):
        line["view"] = draw(st.sampled_from(["masked", "token", "present"]))
    return line


def grant(draw, text):
    purposes = list(text["purposes"])
    found = {"do": draw(st.sampled_from(DOES))}
    type_ = draw(st.sampled_from(list(text["records"])))
    name = draw(st.sampled_from(list(text["records"][type_]["fields"])))
    found["fields"] = draw(st.sampled_from([["*"], ["*"], ["*"], [f"{type_}.*"], [f"{type_}.{name}"], [f"*.{name}"]]))
    found["for"] = few(draw, purposes, len(purposes)) if draw(st.booleans()) else ["*"]
    reads = "read" in found["do"]
    if (reads or "report" in found["do"]) and draw(st.booleans()):
        found["view"] = draw(st.sampled_from(["masked", "token", "present", "plain"]))
    if reads and draw(st.booleans()):
        found["grounds"] = few(draw, GROUNDS, 2)
    when = {}
    if rarely(draw, 3):
        when["location"] = draw(st.sampled_from(["eea", "outside_eea", ["BE"], ["GB", "US"], ["BE", "GB", "NO"], ["CA", "JP", "IN"]]))
    if rarely(draw, 5):
        when["own_subject"] = True
    if rarely(draw, 5):
        when["hours"] = draw(st.sampled_from(HOURS))
    if when:
        found["when"] = when
    return found


def rules(draw, text):
    """All of a policy but its names: what each purpose is, who may do what, what may go where."""
    purposes = list(text["purposes"])
    text["purposes"] = {name: purpose(draw) for name in purposes}
    text["recipients"] = recipients(draw, purposes, text["purposes"])
    lines = [transfer(draw, purposes, list(text["recipients"])) for _ in range(draw(st.integers(0, 3)))]
    text["residency"] = {"default": draw(st.sampled_from(["EEA", "EEA", "EEA", "none"])), "transfers": lines}
    text["roles"] = {role: [grant(draw, text) for _ in range(draw(st.integers(1, 3)))] for role in text["roles"] if role != "officer"}
    text["roles"]["officer"] = [OFFICER]
    return text


HEAD = {"policy": "random", "version": "1", "controller": {"name": "Random BV", "country": "BE", "contact": "privacy@random.example"}}


@st.composite
def policies(draw):
    """A policy, and what it may become later: the same names under other rules."""
    purposes = PURPOSES[:draw(st.integers(1, len(PURPOSES)))]
    text = dict(HEAD, purposes={name: None for name in purposes}, records=records(draw, purposes))
    text["roles"] = {role: None for role in ROLES[:draw(st.integers(1, len(ROLES)))]}
    if draw(st.booleans()):
        text["forbidden_purposes"] = [FORBIDDEN]
    later = dict(text, roles=dict(text["roles"]))
    found = [rules(draw, text)]
    if rarely(draw, 5):
        later.update(purposes={name: None for name in purposes})
        again = rules(draw, later)
        if not set(text["recipients"]) - set(again["recipients"]):
            found.append(again)
    return found


# ---- histories ----

# Before ends of months, adequacy decisions and changes of clocks.
STARTS = [moment(2024, 3, 1, 9), moment(2021, 1, 31, 12), moment(2023, 7, 9, 23), moment(2023, 11, 30, 8), moment(2027, 3, 28), moment(2025, 10, 25, 22),
          moment(2021, 6, 27, 22), moment(2030, 6, 1)]
WAITS = [1, MINUTE, 5 * HOUR, 9 * HOUR, DAY, 13 * DAY, 31 * DAY, 90 * DAY, 366 * DAY, 1000 * DAY]
BACK = [0, 0, DAY, 40 * DAY]
AHEAD = [None, None, DAY, 31 * DAY, 400 * DAY]
SMALL = st.integers(0, 5)


def steps(text):
    """One thing that happens. Numbers choose among what there is then (a record, a moment ahead), whatever their size."""
    names = list(text["purposes"])
    consents = st.sampled_from([name for name in names if text["purposes"][name]["basis"] in CONSENTS] * 2 + names)
    objectable = [name for name in names if text["purposes"][name]["basis"] in OBJECTABLE or "direct_marketing" in text["purposes"][name]]
    objections = st.sampled_from(objectable * 3 + names)
    recipient = st.sampled_from([None] + list(text["recipients"]))
    edge = st.tuples(st.just("edge"), st.integers(0, 7), st.sampled_from([0, -1, 1]))
    return st.one_of(
        st.tuples(st.just("wait"), st.sampled_from(WAITS)), edge, edge,
        st.tuples(st.just("look"), st.booleans(), st.sampled_from([None] + GROUNDS), recipient),
        st.tuples(st.just("consent"), consents, recipient, st.sampled_from(NOTICES), st.booleans(), st.sampled_from(BACK), st.sampled_from(AHEAD)),
        st.tuples(st.just("withdraw"), consents, recipient),
        *[st.tuples(st.just("object"), objections, st.booleans())] * 2,
        st.tuples(st.just("unobject"), objections),
        st.tuples(st.just("restrict")), st.tuples(st.just("lift")),
        *[st.tuples(st.just("event"), SMALL, st.sampled_from(EVENTS), st.sampled_from([0, -DAY, -45 * DAY, 10 * DAY, 59 * DAY]))] * 2,
        st.tuples(st.just("unevent"), SMALL, st.sampled_from(EVENTS)),
        st.tuples(st.just("hold"), SMALL, st.sampled_from(["claim", "books"]), st.sampled_from([DAY, 31 * DAY, 800 * DAY])),
        st.tuples(st.just("release"), SMALL),
        st.tuples(st.just("patch"), SMALL, SMALL, st.sampled_from([1, 0, None])),
        st.tuples(st.just("move"), st.sampled_from(["none", "EEA"])),
        st.tuples(st.just("change_policy")), st.tuples(st.just("night")),
        st.tuples(st.just("erase_record"), SMALL), st.tuples(st.just("erase")),
    )


@st.composite
def cases(draw):
    texts = draw(policies())
    text = texts[0]
    made = []
    for _ in range(draw(st.integers(1, 2))):
        type_ = draw(st.sampled_from(list(text["records"])))
        names = some(draw, list(text["records"][type_]["fields"]))
        made.append((type_, {name: 0 for name in names}))
    return {
        "policies": texts,
        "start": draw(st.sampled_from(STARTS)),
        "records": made,
        "consents": draw(st.lists(st.tuples(st.sampled_from(text["records"][made[0][0]]["purposes"]), st.sampled_from(NOTICES), st.booleans()), max_size=2)),
        "residency": draw(st.sampled_from([None, "EEA", "none"])),
        "places": few(draw, PLACES, 3),
        "actions": few(draw, ACTIONS, 2),
        "single": draw(st.sampled_from([None, None] + [[name] for name in text["purposes"]])),
        "history": draw(st.lists(steps(text), max_size=16)),
        "last": draw(st.tuples(st.just("look"), st.booleans(), st.sampled_from([None] + GROUNDS), st.sampled_from([None] + list(text["recipients"])))),
    }
