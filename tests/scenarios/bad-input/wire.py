"""Bad requests as such: queries, paths, methods, sizes, heads, several at once."""

import re

from bench import CANARY, POLICY, RECORD, SUBJECT, person, text_of
from kluis import check, description, equal, raw

BODY_MAX = 1024 * 1024


def queries(bench):
    app, sub = bench.app, f"/v1/subjects/{bench.subject}"
    for query, status, code in (
            (f"purpose=service&{CANARY}=1", 400, "unknown_parameter"), (f"purpose=service&Purpose={CANARY}", 400, "unknown_parameter"),
            (f"purpose=service&purpose={CANARY}", 400, "duplicate_parameter"), ("purpose=", 400, "invalid_parameter"),
            ("purpose", 400, "invalid_parameter"), (f"purpose={CANARY}%zz", 400, "invalid_parameter"), ("purpose=%", 400, "invalid_parameter"),
            (f"purpose={CANARY}%00", 400, "invalid_parameter"), (f"purpose={CANARY}%ff", 400, "invalid_parameter"),
            ("purpose=service&fields=", 400, "invalid_parameter"), ("purpose=service&fields=person.name,,person.email", 400, "invalid_parameter"),
            ("purpose=service&fields=" + ",".join(["person.name"] * 600), 413, "too_many_items"),
            ("purpose=" + CANARY * 1300, 414, "query_too_long")):
        bench.refused(app.get(f"{sub}?{query}"), status, code)
    for limit in ("0", "-1", "1001", "ten", "1.5", "99999999999999999999", "%31%30x"):
        for client, target in ((app, "/v1/subjects?type=person&purpose=service&"), (bench.steward, "/v1/credentials?"), (bench.steward, "/v1/audit?")):
            bench.refused(client.get(f"{target}limit={limit}"), 400, "invalid_limit")
    page = app.get("/v1/subjects?type=person&purpose=service&limit=1").expect(200)
    app.post("/v1/subjects", person(name="Bea", nick="bea")).expect(201)
    page = app.get("/v1/subjects?type=person&purpose=service&limit=1").expect(200)
    cursor = page["next_cursor"]
    check(cursor is not None, "two people, one a page: there is a cursor")
    flipped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for bad in (CANARY, "A" * 300, flipped, cursor[:-2], cursor + "A"):
        for client, target in ((app, "/v1/subjects?type=person&purpose=service&"), (bench.steward, "/v1/credentials?"), (bench.steward, "/v1/audit?")):
            bench.refused(client.get(f"{target}cursor={bad}"), 400, "invalid_cursor")
    bench.refused(bench.steward.get(f"/v1/credentials?cursor={cursor}"), 400, "invalid_cursor")
    bench.refused(bench.reader.get(f"/v1/subjects?type=person&purpose=service&cursor={cursor}"), 400, "invalid_cursor")
    bench.refused(app.get("/v1/subjects?purpose=service"), 400, "invalid_parameter")
    bench.refused(bench.steward.get(f"/v1/audit?from={CANARY}"), 422, "invalid_time")
    bench.refused(bench.steward.get("/v1/audit?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"), 422, "invalid_range")
    bench.refused(bench.steward.put("/v1/policy?accept=perhaps", POLICY.read_text(), type="application/yaml"), 400, "unknown_parameter")


def methods_and_routes(bench):
    names = {"sub": SUBJECT, "rec": RECORD, "purpose": "news", "tenant": "default", "event": "survey_end", "field": "scan"}
    for prefix in ("cred", "er", "req", "rot", "mir", "swp", "bak", "ver", "rtn", "hook", "prn"):
        names[prefix] = prefix + "_" + "0" * 26
    allowed = {}
    for method, template in description().operations():
        allowed.setdefault(template, set()).add(method)
    for template, methods in sorted(allowed.items()):
        path = re.sub(r"\{([^}]+)\}", lambda match: names_in(match.group(1), names), template)
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
            if method in methods:
                continue
            answer = bench.refused(bench.app.send(method, path), 405, "method_not_allowed")
            equal({one.strip() for one in answer.headers["allow"].split(",")} - {"OPTIONS", "HEAD"}, methods, f"{method} {template}: Allow")
        answer = bench.vault.client().send("OPTIONS", path)
        equal((answer.status, answer.body), (204, b""), f"OPTIONS {template}")
        check("allow" in answer.headers, f"OPTIONS {template} says what is allowed")
    for method in ("TRACE", "get", CANARY):
        bench.refused(bench.app.send(method, "/healthz"), 400, "invalid_request")
    for path in ("/", "/v1", "/v1/", f"/{CANARY}", "/v1/subject", "/v1/subjects/", f"/v1/subjects/{SUBJECT}/", "//v1/subjects", "/v2/subjects",
                 "/V1/subjects", "/console/", "/.well-known/x", f"/v1/subjects/{SUBJECT}/{CANARY}", "/healthz/"):
        answer = bench.app.get(path)
        check(answer.status in (400, 404), f"{path}: {answer.status}")
        bench.refused(answer, answer.status, answer["code"])
        check(answer["code"] in ("no_route", "invalid_path", "invalid_id"), f"{path}: {answer['code']}")
    for path in ("/healthz", "/readyz", "/openapi.json"):
        seen = bench.vault.client().send("HEAD", path)
        equal((seen.status, seen.body), (200, b""), f"HEAD {path}")
        equal(seen.headers["content-length"], bench.vault.client().get(path).headers["content-length"], f"HEAD {path} tells the length")
    equal(bench.vault.client().send("HEAD", "/v1/subjects").status, 405, "HEAD is for what anybody may see")
    bench.refused(bench.app.get("/v1/" + "a" * 2000), 414, "uri_too_long")
    for path in ("/v1/subjects/%", "/v1/subjects/%zz", "/v1/../v1/subjects", "/v1/subjects/%2e%2e/x"):
        check(bench.app.get(path).status in (400, 404), f"{path} leads nowhere")


def names_in(name, names):
    for key, value in names.items():
        if name.startswith(key):
            return value
    check(False, f"a value for {name} is known")
    return None


def content_types(bench):
    body = text_of(person(name=CANARY))
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "application/yaml", "json"):
        bench.refused(bench.app.post("/v1/subjects", body, type=kind), 415, "unsupported_media_type")
    bench.app.post("/v1/subjects", body.replace(CANARY, "Cee"), type="Application/JSON; charset=utf-8").expect(201)
    bench.refused(bench.steward.put("/v1/policy", POLICY.read_text(), type="application/json"), 415, "unsupported_media_type")
    bench.refused(bench.app.send("GET", "/v1/subjects?type=person&purpose=service", body), 400, "unexpected_body")
    bench.refused(bench.app.send("DELETE", f"/v1/subjects/{SUBJECT}", body), 400, "unexpected_body")


def sizes(bench):
    fits = text_of(person(name="D"))
    bench.app.post("/v1/subjects", fits + " " * (BODY_MAX - len(fits))).expect(201)
    bench.refused(bench.app.post("/v1/subjects", fits + " " * (BODY_MAX + 1 - len(fits))), 413, "body_too_large")
    bench.refused(bench.app.post("/v1/subjects", CANARY * (BODY_MAX // 2)), 413, "body_too_large")
    bench.refused(bench.steward.put("/v1/policy", "# " + CANARY * (BODY_MAX // 4), type="application/yaml"), 413, "body_too_large")
    bench.app.post("/v1/batch", text_of({"operations": [{"op": "read", "subject": SUBJECT, "purpose": "service"}]}) + " " * (2 * BODY_MAX)).expect(200)
    bench.refused(bench.app.post("/v1/batch", " " * (9 * BODY_MAX)), 413, "body_too_large")
    head = f"POST /v1/subjects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bench.app.token}\r\nContent-Type: application/json\r\n"
    answers = raw(bench.vault, f"{head}Content-Length: 999999999999\r\n\r\n{{".encode())
    equal([(one.status, one["code"]) for one in answers], [(413, "body_too_large")], "a length that is told suffices")
    answers = raw(bench.vault, f"{head}Content-Length: 100\r\n\r\n{{\"records\": \"{CANARY}".encode(), wait=30)
    equal([(one.status, one["code"]) for one in answers], [(408, "request_timeout")], "a body that never comes whole")
    check(answers[0].headers["connection"] == "close", "the connection ends with it")
    bench.refused(answers[0], 408, "request_timeout")


def framing(bench):
    auth = f"Authorization: Bearer {bench.app.token}\r\n"
    json_type = "Content-Type: application/json\r\n"
    body = text_of(person(name=CANARY))
    length = f"Content-Length: {len(body)}\r\n"
    post, get = "POST /v1/subjects HTTP/1.1\r\nHost: localhost\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    smuggled = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    cases = [
        (post + auth + json_type + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "length_required"),
        (post + auth + json_type + "Transfer-Encoding: identity\r\n\r\n" + body, 411, "length_required"),
        (post + auth + json_type + "Transfer-Encoding: chunked\r\n" + length + "\r\n" + body, 400, "invalid_length"),
        (post + auth + json_type + "transfer-encoding:\tchunked\r\n" + length + "\r\n0\r\n\r\n" + smuggled, 400, "invalid_request"),
        (post + auth + json_type + "transfer-encoding:chunked\r\n" + length + "\r\n0\r\n\r\n" + smuggled, 400, "invalid_length"),
        (post + auth + json_type + length + length + "\r\n" + body, 400, "invalid_length"),
        (post + auth + json_type + length + "Content-Length: 5\r\n\r\n" + body, 400, "invalid_length"),
        (post + auth + json_type + f"Content-Length: {len(body)}, {len(body)}\r\n\r\n" + body, 400, "invalid_length"),
        (post + auth + json_type + "Content-Length: -1\r\n\r\n", 400, "invalid_length"),
        (post + auth + json_type + "Content-Length: +5\r\n\r\n{}   ", 400, "invalid_length"),
        (post + auth + json_type + "Content-Length: 0x5\r\n\r\n{}   ", 400, "invalid_length"),
        (post + auth + json_type + "Content-Length: \r\n\r\n", 400, "invalid_length"),
        (post + auth + json_type + "Content-Length: 99999999999999999999\r\n\r\n", 400, "invalid_length"),
        (post + auth + auth + json_type + length + "\r\n" + body, 400, "invalid_header"),
        (post + auth + json_type + "Idempotency-Key: a\r\nIdempotency-Key: b\r\n" + length + "\r\n" + body, 400, "invalid_header"),
        (get + "Host: other\r\n\r\n", 400, "invalid_header"),
        (get + f"Expect: {CANARY}\r\n\r\n", 417, "expectation_failed"),
        (get + "X-Long: " + CANARY * 3000 + "\r\n\r\n", 431, "header_too_large"),
        (get + "".join(f"X-{i}: {CANARY}\r\n" for i in range(2000)) + "\r\n", 431, "header_too_large"),
        ("GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n", 505, "http_version"),
        ("GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "http_version"),
        (f"{CANARY}\r\n\r\n", 400, "invalid_request"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Bell: a\x07b\r\n\r\n", 400, None),
        (f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{CANARY}\r\n\r\n", 400, None),
        (post + auth + json_type + "Transfer-Encoding:\r\n chunked\r\n" + length + "\r\n" + body, 400, None),
        (post + auth + json_type + f"Content-Length: 1\r\n {len(body)}\r\n\r\n" + body, 400, None),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A : b\r\n\r\n", 400, None),
        (get + "".join(f"X-{i}: {CANARY}\r\n" for i in range(70)) + "Content-Length: 50\r\n\r\n" + smuggled, 400, "invalid_request"),
        (get + "X-A: b\n\r\nContent-Length: 50\r\n\r\n" + smuggled, 400, "invalid_request"),
        (get.replace("\r", "") + "\n", 400, "invalid_request"),
        (get + "X-A: b\rContent-Length: 50\r\n\r\n" + smuggled, 400, "invalid_request"),
        (get + "X-A: b\0\r\nContent-Length: 50\r\n\r\n" + smuggled, 400, "invalid_request"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None, None),
        ("\x16\x03\x01" + CANARY + "\r\n\r\n", 400, None),
    ]
    for request, status, code in cases:
        answers = raw(bench.vault, request.encode("latin-1"), wait=15)
        what = request[:160].replace(auth, "")
        equal(len(answers), 1, f"one answer, and the connection ends: {what!r}: {[(one.status, one.body[:200]) for one in answers]}")
        answer = answers[0]
        if status is not None:
            equal(answer.status, status, f"{what!r}: {answer.body[:200]}")
        code = code or answer["code"]
        bench.refused(answer, answer.status, code)
        check(400 <= answer.status < 600 and answer.status != 500, f"{what!r} is the client's fault: {answer.status}")
        equal(answer.headers["connection"], "close", f"{what!r}: Connection")


def pipelines(bench):
    """Requests sent at once are answered in order, also behind a refused one whose body nobody read."""
    auth = f"Authorization: Bearer {bench.app.token}\r\n"
    health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: id-{}\r\n\r\n"
    answers = raw(bench.vault, "".join(health.format(i) for i in range(20)).encode(), close_after=20)
    equal([one.headers["x-request-id"] for one in answers], [f"id-{i}" for i in range(20)], "answers in order")
    body = text_of(person(name="Eve"))
    post = f"POST /v1/subjects HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    answers = raw(bench.vault, (health.format(1) + post + "\r\n" + body + post + auth + "\r\n" + body + health.format(2)).encode(), close_after=4)
    equal([one.status for one in answers], [200, 401, 201, 200], "a refused one between others")
    answers = raw(bench.vault, b"GET /healthz HTTP/1.0\r\n\r\n")
    equal([(one.status, one.headers["connection"]) for one in answers], [(200, "close")], "HTTP/1.0 is answered once")
    answers = raw(bench.vault, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + health.format(3).encode())
    equal([one.status for one in answers], [200], "nothing is answered behind Connection: close")


def request_ids(bench):
    for given, kept in (("abc-123", True), ("A" * 64, True), ("A" * 65, False), (f"{CANARY} x", False), (f"{CANARY}_", False), ("é", False)):
        seen = bench.vault.client().get("/healthz", headers={"X-Request-Id": given.encode("utf-8")}).expect(200).headers["x-request-id"]
        equal(seen == given, kept, f"request id {given!r}")
        check(CANARY not in seen, "a bad one is replaced")
