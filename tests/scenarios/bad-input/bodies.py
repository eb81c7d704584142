"""Bad bodies: JSON, keys, types, values, names, numbers of things."""

from bench import CANARY, SUBJECT, person, text_of
from kluis import check, equal


def broken_json(bench):
    good = text_of(person(name=CANARY))
    deep = "[" * 40 + "]" * 40
    for body, code in (
            ("{", "invalid_json"), (good[:-1], "invalid_json"), (good + "}", "invalid_json"), (good + " x", "invalid_json"),
            (good + good, "invalid_json"), ("nul", "invalid_json"), (f"'{CANARY}'", "invalid_json"), ("{\"records\": [1,]}", "invalid_json"),
            ("/* */" + good, "invalid_json"), ("{\"records\": NaN}", "invalid_json"), ("{\"records\": Infinity}", "invalid_json"),
            ("{\"records\": 01}", "invalid_json"), ("{\"records\": +1}", "invalid_json"), ("{records: []}", "invalid_json"),
            ("{\"records\": \"a\nb\"}", "invalid_json"), ("{\"records\": \"\\x41\"}", "invalid_json"), ("   ", "invalid_json"),
            ("\ufeff" + good, "invalid_json"), ("\x00", "invalid_json"), (good + "\x00", "invalid_json"),
            (f"{{\"records\": \"{CANARY}\\ud800\"}}", "invalid_json"), (f"{{\"records\": \"{CANARY}\\udc00\\ud800\"}}", "invalid_json"),
            (f"{{\"records\": \"{CANARY}\\u0000\"}}", "invalid_json"), (f"{{\"records\": {deep}}}", "json_too_deep"),
            ("[" * 100000, "invalid_json")):
        bench.refused(bench.app.post("/v1/subjects", body), 400, code)
    for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"):
        body = text_of(person(name="X")).encode().replace(b"X", CANARY.encode() + bad)
        bench.refused(bench.app.post("/v1/subjects", body), 400, "invalid_json")
    bench.refused(bench.app.post("/v1/subjects", b""), 400, "missing_body")
    bench.refused(bench.app.post("/v1/subjects", "[" + ",".join(["0"] * 70000) + "]"), 413, "json_too_many")


def duplicate_keys(bench):
    for body in ('{"records": [], "records": []}', '{"records": [], "r\\u0065cords": []}',
                 '{"records": [{"type": "person", "type": "person", "fields": {}}]}',
                 f'{{"records": [{{"type": "person", "fields": {{"name": "{CANARY}", "name": "{CANARY}"}}}}]}}',
                 f'{{"records": [{{"type": "person", "fields": {{"notes": {{"{CANARY}": 1, "{CANARY}": 2}}}}}}]}}'):
        bench.refused(bench.app.post("/v1/subjects", body), 400, "duplicate_key", "/records/0" if "type" in body and CANARY not in body else None)
    bench.refused(bench.app.post("/v1/lookup", '{"field": "person.email", "value": "a", "value": "b", "purpose": "service"}'), 400,
                  "duplicate_key")


def unknown_keys(bench):
    key = CANARY + "_key"
    app, steward, operator = bench.app, bench.steward, bench.operator
    sub, rec = f"/v1/subjects/{bench.subject}", f"/v1/subjects/{bench.subject}/records/{bench.record}"
    consent = {"purpose": "news", "notice": "n1", "channel": "web"}
    for client, method, target, body, where in (
            (app, "POST", "/v1/subjects", {"records": [], key: 1}, f"/{key}"),
            (app, "POST", "/v1/subjects", {"records": [{"type": "person", "fields": {}, key: 1}]}, f"/records/0/{key}"),
            (app, "POST", "/v1/subjects", {"records": [{"type": "person", "fields": {}, "consents": [{**consent, key: 1}]}]},
             f"/records/0/consents/0/{key}"),
            (app, "PATCH", sub, {"residency": "EEA", key: 1}, f"/{key}"),
            (app, "POST", f"{sub}/erase", {key: 1}, f"/{key}"),
            (app, "POST", f"{sub}/records", {"type": "person", "fields": {}, key: 1}, f"/{key}"),
            (app, "PUT", f"{sub}/consents/news", {"notice": "n1", "channel": "web", key: 1}, f"/{key}"),
            (app, "POST", "/v1/lookup", {"field": "person.email", "value": "a@b.example", "purpose": "service", key: 1}, f"/{key}"),
            (app, "POST", "/v1/batch", {"operations": [{"op": "read"}], key: 1}, f"/{key}"),
            (steward, "POST", "/v1/explain", {"role": "app", "purpose": "service", key: 1}, f"/{key}"),
            (steward, "POST", "/v1/credentials", {"role": "app", "expires_in": "P1D", key: 1}, f"/{key}"),
            (operator, "POST", "/v1/keys/rotations", {"level": "root", key: 1}, f"/{key}"),
            (operator, "PUT", "/v1/tenants/other", {key: 1}, f"/{key}")):
        bench.refused(client.send(method, target, body), 422, "unknown_key", where)
    bench.refused(app.patch(rec, {"fields": {}, key: 1}, headers={"If-Match": "*"}), 422, "unknown_key", f"/{key}")
    bench.refused(app.post("/v1/subjects", person(**{key: CANARY})), 422, "unknown_field", f"/records/0/fields/{key}")
    bench.refused(app.patch(rec, {"fields": {key: CANARY}}, headers={"If-Match": "*"}), 422, "unknown_field", f"/fields/{key}")


def missing_keys(bench):
    app, steward = bench.app, bench.steward
    for client, target, body, where in (
            (app, "/v1/subjects", {}, "/records"), (app, "/v1/subjects", {"records": [{"fields": {}}]}, "/records/0/type"),
            (app, "/v1/subjects", {"records": [{"type": "person"}]}, "/records/0/fields"),
            (app, "/v1/subjects", {"records": [{"type": "person", "fields": {}, "consents": [{"purpose": "news", "notice": "n1"}]}]},
             "/records/0/consents/0/channel"),
            (app, "/v1/lookup", {"value": "a", "purpose": "service"}, "/field"),
            (app, "/v1/lookup", {"field": "person.email", "purpose": "service"}, "/value"),
            (steward, "/v1/credentials", {"role": "app"}, "/expires_in"), (steward, "/v1/credentials", {"expires_in": "P1D"}, "/role"),
            (bench.operator, "/v1/keys/rotations", {}, "/level")):
        bench.refused(client.post(target, body), 422, "missing_key", where)


def wrong_types(bench):
    app, steward = bench.app, bench.steward
    sub = f"/v1/subjects/{bench.subject}"
    wrong = {"records": ({}, CANARY, 1, True, None), "residency": ([], 1, None)}
    for key, values in wrong.items():
        for value in values:
            bench.refused(app.post("/v1/subjects", {"records": [], **{key: value}}), 422, "invalid_type", f"/{key}")
    for root in ([], CANARY, 1, True, None):
        bench.refused(app.post("/v1/subjects", text_of(root)), 422, "invalid_type")
    for record in (1, CANARY, None, []):
        bench.refused(app.post("/v1/subjects", {"records": [record]}), 422, "invalid_type", "/records/0")
    for key, value in (("type", 1), ("fields", []), ("source", {}), ("consents", {}), ("fields", CANARY)):
        record = {"type": "person", "fields": {}, key: value}
        bench.refused(app.post("/v1/subjects", {"records": [record]}), 422, "invalid_type", f"/records/0/{key}")
        bench.refused(app.post(f"{sub}/records", record), 422, "invalid_type", f"/{key}")
    for key, value in (("field", 1), ("purpose", []), ("limit", CANARY), ("limit", True), ("cursor", 7)):
        bench.refused(app.post("/v1/lookup", {"field": "person.email", "value": "a", "purpose": "service", key: value}), 422,
                      "invalid_type", f"/{key}")
    for value in (0, -1, 1001, 1.5, 1e30):
        bench.refused(app.post("/v1/lookup", {"field": "person.email", "value": "a", "purpose": "service", "limit": value}), 422,
                      "invalid_value", "/limit")
    for key, value in (("role", 1), ("purposes", "service"), ("purposes", [1]), ("location", 1), ("subject", 1), ("expires_in", 1)):
        bench.refused(steward.post("/v1/credentials", {"role": "app", "expires_in": "P1D", key: value}), 422, "invalid_type", f"/{key}")
    bench.refused(app.put(f"{sub}/consents/news", {"notice": "n1", "channel": "web", "explicit": "yes"}), 422, "invalid_type", "/explicit")
    bench.refused(app.post("/v1/batch", {"operations": {}}), 422, "invalid_type", "/operations")
    bench.refused(app.post(f"{sub}/erase", {"reason": 1}), 422, "invalid_type", "/reason")

INVALID = {
    "name": [f"{CANARY}\x01", f"{CANARY}\x7f", f"{CANARY}\u0085"],
    "email": [CANARY, f"{CANARY}@", "@example.org", f"{CANARY}@@example.org", f"{CANARY}@nodot", f"{CANARY} x@example.org",
              f"{CANARY}@exa mple.org", f".{CANARY}@example.org", f"{CANARY}..x@example.org", f"{CANARY}@-example.org",
              f"{CANARY}@example.org\nBcc: x@example.org", f"{CANARY}@127.0.0.1"],
    "phone": [CANARY, "0031", "+", "+0123456789", "+1234567890123456", f"+31{CANARY}"],
    "birth": [CANARY, "2026-13-01", "2026-02-30", "2025-02-29", "26-01-01", "2026-1-1", "01-02-2026", "2026-01-01T00:00:00Z"],
    "joined": [CANARY, "2026-01-01", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+25:00"],
    "country": [CANARY, "XX", "n l", "EL", "UK", "NLD"],
    "account": [CANARY, "NL91ABNA0417164301", "NL91ABNA041716430", "XX91ABNA0417164300"],
    "address": [CANARY, "256.0.0.1", "1.2.3", "1.2.3.4/24", "::g", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0"],
}
WRONG_KIND = {
    "name": [1, True, [], {}], "email": [1, []], "phone": [31612345678], "birth": [2026], "joined": [0], "score": [CANARY, True, "1", []],
    "member": [CANARY, 1, "true", {}], "country": [31], "account": [1], "address": [2130706433],
}
TOO_LONG = {
    "name": CANARY * 10000, "email": CANARY * 2000 + "@example.org", "phone": "+" + "1" * 5000, "birth": "2026-01-01" + " " * 5000,
    "joined": "2026-01-01T00:00:00." + "0" * 5000 + "Z", "country": "N" * 5000, "account": "NL" + "0" * 5000, "address": "1" * 5000,
    "notes": [CANARY * 10000],
}


def bad_values(bench):
    app = bench.app
    record = f"/v1/subjects/{bench.subject}/records/{bench.record}"

    def both(field, value, status, *codes):
        """Refused when made, and when rectified."""
        for answer, where in ((app.post("/v1/subjects", person(**{field: value})), f"/records/0/fields/{field}"),
                              (app.patch(record, {"fields": {field: value}}, headers={"If-Match": "*"}), f"/fields/{field}")):
            equal(answer.status, status, f"{answer.request} with a bad {field}: {str(value)[:40]!r}: {answer.body[:300]}")
            check(answer.json().get("code") in codes, f"{field} {str(value)[:40]!r}: {answer.body[:99]} is not among {codes}")
            bench.refused(answer, status, answer["code"], where)

    for field, values in INVALID.items():
        for value in values:
            both(field, value, 422, "invalid_value")
    for field, values in WRONG_KIND.items():
        for value in values:
            both(field, value, 422, "invalid_type")
    for field in (*INVALID, "score"):
        if field != "score":
            both(field, "", 422, "empty_value")
    for field, value in TOO_LONG.items():
        both(field, value, 413, "value_too_large")
    bench.refused(app.post("/v1/subjects", text_of(person(score=1)).replace("1}", "9" * 5000 + "}")), 413, "value_too_large",
                  "/records/0/fields/score")
    bench.refused(app.post("/v1/subjects", person(name=None)), 422, "invalid_type", "/records/0/fields/name")
    bench.refused(app.post("/v1/subjects", person(nick="\u0378")), 422, "unassigned_character", "/records/0/fields/nick")
    bench.refused(app.post("/v1/lookup", {"field": "person.email", "value": CANARY, "purpose": "service"}), 422, "invalid_value", "/value")
    bench.refused(app.post("/v1/lookup", {"field": "person.email", "value": "", "purpose": "service"}), 422, "empty_value", "/value")
    bench.refused(app.post("/v1/lookup", {"field": "person.email", "value": 5, "purpose": "service"}), 422, "invalid_type", "/value")
    unchanged = app.get(f"/v1/subjects/{bench.subject}?purpose=service").expect(200)["records"][0]
    equal((unchanged["version"], unchanged["fields"]), (1, {"name": "Ann", "email": "ann@mail.example", "nick": "Annie"}),
          "nothing of all that changed the record")


def unknown_names(bench):
    app, steward = bench.app, bench.steward
    sub = f"/v1/subjects/{bench.subject}"
    for answer, code in (
            (app.post("/v1/subjects", {"records": [{"type": CANARY, "fields": {}}]}), "unknown_record_type"),
            (app.get(f"{sub}?purpose={CANARY}"), "unknown_purpose"),
            (app.get(f"{sub}?purpose=service&fields={CANARY}.x"), "unknown_field"),
            (app.get(f"{sub}?purpose=service&fields=person.{CANARY}"), "unknown_field"),
            (app.get(f"{sub}?purpose=service&recipient={CANARY}"), "unknown_recipient"),
            (app.get(f"/v1/subjects?type={CANARY}&purpose=service"), "unknown_record_type"),
            (app.put(f"{sub}/consents/{CANARY}", {"notice": "n1", "channel": "web"}), "unknown_purpose"),
            (app.post("/v1/lookup", {"field": f"person.{CANARY}", "value": "x", "purpose": "service"}), "unknown_field"),
            (app.post("/v1/lookup", {"field": "person.name", "value": CANARY, "purpose": "service"}), "field_not_indexed"),
            (app.post(f"{sub}/erase", {"reason": CANARY}), "invalid_reason"),
            (app.delete(f"{sub}?reason={CANARY}"), "invalid_reason"),
            (app.patch(sub, {"residency": CANARY}), "invalid_residency"),
            (app.post("/v1/subjects", {"residency": CANARY, "records": []}), "invalid_residency"),
            (app.post("/v1/subjects", {"records": [{"type": "person", "source": "Web Form " + CANARY, "fields": {}}]}), "invalid_source"),
            (app.put(f"{sub}/consents/news", {"notice": "n1", "channel": "web", "at": CANARY}), "invalid_time"),
            (steward.post("/v1/explain", {"role": CANARY, "purpose": "service"}), "unknown_role"),
            (steward.post("/v1/explain", {"role": "app", "purpose": "service", "action": CANARY}), "unknown_action"),
            (steward.post("/v1/explain", {"role": "app", "purpose": "service", "from": CANARY}), "invalid_country"),
            (steward.post("/v1/credentials", {"role": CANARY, "expires_in": "P1D"}), "unknown_role"),
            (steward.post("/v1/credentials", {"role": "app", "purposes": [CANARY], "expires_in": "P1D"}), "unknown_purpose"),
            (steward.post("/v1/credentials", {"role": "app", "location": CANARY, "expires_in": "P1D"}), "invalid_country"),
            (steward.post("/v1/credentials", {"role": "app", "location": f"aws:{CANARY}", "expires_in": "P1D"}), "unknown_region"),
            (steward.post("/v1/credentials", {"role": "app", "certificate_sha256": CANARY, "expires_in": "P1D"}), "invalid_certificate"),
            (bench.operator.post("/v1/keys/rotations", {"level": CANARY}), "level_not_supported"),
            (bench.operator.put("/v1/tenants/other", {"store": CANARY}), "unknown_store"),
            (bench.operator.put("/v1/tenants/other", {"grace": CANARY}), "invalid_duration")):
        bench.refused(answer, 422, code)
    for duration in (CANARY, "P0D", "PT0S", "-P1D", "P1.5D", "P100Y", "1D", "P"):
        bench.refused(steward.post("/v1/credentials", {"role": "app", "expires_in": duration}), 422, "invalid_duration", "/expires_in")
    bench.refused(app.get(sub), 400, "purpose_required")
    bench.refused(app.post("/v1/lookup", {"field": "person.email", "value": "a@b.example"}), 400, "purpose_required")


def too_many(bench):
    app = bench.app
    bench.refused(app.post("/v1/subjects", {"records": [{"type": "person", "fields": {}}] * 33}), 413, "too_many_records", "/records")
    bench.refused(app.post("/v1/batch", {"operations": [{"op": "read"}] * 1001}), 413, "too_many_operations", "/operations")
    bench.refused(app.post("/v1/batch", {"operations": []}), 422, "empty_value", "/operations")
    bench.refused(app.post("/v1/subjects", person(**{f"f{i}": "x" for i in range(300)})), 413, "too_many_fields", "/records/0/fields")
    consents = [{"purpose": "news", "notice": "n1", "channel": "web"}] * 65
    bench.refused(app.post("/v1/subjects", {"records": [{"type": "person", "fields": {}, "consents": consents}]}), 413, "too_many_consents",
                  "/records/0/consents")
    bench.refused(app.put(f"/v1/subjects/{bench.subject}/consents/news", {"notice": "n1", "channel": "web", "evidence": CANARY * 1000}),
                  413, "value_too_large", "/evidence")


def batches_answer_each(bench):
    """What is wrong with one operation is its own result; the others go on."""
    results = bench.app.post("/v1/batch", {"operations": [
        {"op": "read", "subject": bench.subject, "purpose": "service", "reference": "one"}, {"op": CANARY}, {"op": 1}, {}, 1,
        {"op": "read", "subject": CANARY, "purpose": "service"}, {"op": "read", "subject": SUBJECT, "purpose": "service"},
        {"op": "create", "records": [{"type": "person", "fields": {"email": CANARY}}]},
        {"op": "patch", "subject": bench.subject, "record": bench.record, "fields": {"name": "B"}},
        {"op": "patch", "subject": bench.subject, "record": bench.record, "fields": {"name": "B"}, "version": 99},
        {"op": "erase", "subject": SUBJECT}, {"op": "erase", "subject": bench.subject, CANARY: 1},
        {"op": "read", "subject": bench.subject, "purpose": CANARY}, {"op": "read", "subject": bench.subject, "purpose": "service"}]}, validate="answer").expect(200)
    check(CANARY not in results.body.decode().replace(f"/{CANARY}", ""), "results repeat no value")
    results = results["results"]
    equal(results[0]["reference"], "one", "a reference comes back")
    equal([one["status"] for one in results], [200, 422, 422, 422, 422, 400, 404, 422, 428, 412, 404, 422, 422, 200], "statuses in order")
    equal([one["problem"]["code"] for one in results[1:-1]],
          ["unknown_operation", "invalid_type", "missing_key", "missing_key", "invalid_id", "not_found", "invalid_value", "if_match_required",
           "version_mismatch", "not_found", "unknown_key", "unknown_purpose"], "their codes")
