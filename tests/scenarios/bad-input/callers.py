"""Bad ids, tokens, tenants, preconditions, repeated requests, policies."""

import re
import time

from bench import CANARY, POLICY, RECORD, SUBJECT, person
from kluis import SOURCE, check, equal

FIXTURES = SOURCE / "tests/fixtures/policies/errors"


def bad_ids(bench):
    app = bench.app
    for bad in (CANARY, "sub_", "sub_0", SUBJECT + "0", SUBJECT[:-1], RECORD, SUBJECT[:-1] + "U", SUBJECT[:-1] + "-", SUBJECT.lower()[:-1] + "!",
                "SUB_" + "0" * 26, "sub_8" + "0" * 25, "%00", "%2e%2e"):
        answer = app.get(f"/v1/subjects/{bad}?purpose=service")
        check(answer.status == 400 and answer["code"] in ("invalid_id", "invalid_path"), f"id {bad}: {answer.status} {answer.body[:200]}")
        bench.refused(answer, 400, answer["code"])
    bench.refused(app.get(f"/v1/subjects/{SUBJECT}?purpose=service"), 404, "not_found")
    bench.refused(app.get(f"/v1/subjects/{bench.subject}/records/{RECORD}?purpose=service"), 404, "not_found")
    bench.refused(app.get(f"/v1/subjects/{bench.subject}/records/{SUBJECT}?purpose=service"), 400, "invalid_id")
    bench.refused(bench.steward.delete(f"/v1/credentials/{CANARY}"), 400, "invalid_id")
    bench.refused(bench.steward.delete("/v1/credentials/cred_" + "0" * 26), 404, "not_found")
    bench.refused(bench.steward.get("/v1/erasures/er_" + "0" * 26), 404, "not_found")
    bench.refused(bench.operator.get("/v1/keys/rotations/rot_" + "0" * 26), 404, "not_found")
    bench.refused(bench.steward.get(f"/v1/audit?subject={CANARY}"), 400, "invalid_id")
    bench.refused(bench.steward.post("/v1/credentials", {"role": "app", "expires_in": "P1D", "subject": CANARY}), 400, "invalid_id", "/subject")
    unseen = bench.stranger.get(f"/v1/subjects/{bench.subject}?purpose=service")
    absent = bench.stranger.get(f"/v1/subjects/{SUBJECT}?purpose=service")
    bench.refused(unseen, 404, "not_found")
    equal({**unseen.json(), "instance": ""}, {**absent.json(), "instance": ""}, "who has no grant learns nothing: the answers are alike")


def bad_tokens(bench):
    token, vault = bench.app.token, bench.vault
    target = f"/v1/subjects/{bench.subject}?purpose=service"
    for value in (None, "", "Bearer", "Bearer ", f"Basic {CANARY}", token, f"Token {token}", f"Bearer {CANARY}", f"Bearer kl_{CANARY}",
                  f"Bearer {token[:-1]}", f"Bearer {token}x", f"Bearer {token[:-1]}{'A' if token[-1] != 'A' else 'B'}",
                  f"Bearer {token.upper()}", f"Bearer {token} {token}", "Bearer kl_" + "A" * 4000, f"Bearer {token[3:]}"):
        answer = vault.client().get(target, headers={} if value is None else {"Authorization": value})
        bench.refused(answer, 401, "unauthorised")
        check(answer.headers.get("www-authenticate", "").startswith("Bearer"), f"a 401 says how: {answer.headers}")
    made = bench.steward.post("/v1/credentials", {"role": "app", "expires_in": "P1D"}).expect(201)
    revoked = vault.client(made["token"])
    revoked.get(target).expect(200)
    bench.steward.delete(f"/v1/credentials/{made['id']}").expect(204)
    bench.refused(revoked.get(target), 401, "unauthorised")
    bench.refused(vault.client().get("/metrics"), 401, "unauthorised")
    for who, target in ((bench.app, "/v1/audit"), (bench.app, "/v1/keys"), (bench.app, "/metrics"), (bench.app, "/v1/policy"),
                        (bench.app, "/v1/credentials"), (bench.app, "/v1/tenants"), (bench.steward, "/v1/tenants")):
        bench.refused(who.get(target), 403, "role_forbidden")
    bench.refused(bench.vault.operator("default").get("/v1/audit"), 403, "role_forbidden")


def expired_credentials(bench):
    """The shortest life there is, and asking until it is over: a credential that ends is refused like one that never was."""
    made = bench.steward.post("/v1/credentials", {"role": "app", "expires_in": "PT1S"}).expect(201)
    client = bench.vault.client(made["token"])
    target = f"/v1/subjects/{bench.subject}?purpose=service"
    deadline = time.monotonic() + 20
    while (answer := client.get(target)).status == 200 and time.monotonic() < deadline:
        pass
    bench.refused(answer, 401, "unauthorised")
    never = bench.vault.client("kl_" + "A" * 43).get(target)
    equal({**answer.json(), "instance": ""}, {**never.json(), "instance": ""}, "an expired token looks like one that never was")


def tenants(bench):
    for name in (CANARY.upper(), "-x", "a_b", "%C3%A9", "..", "a%2Fb"):
        answer = bench.operator.put(f"/v1/tenants/{name}", {})
        check(answer.json().get("code") in ("invalid_tenant", "invalid_path", "no_route"), f"tenant {name}: {answer.status} {answer.body[:200]}")
        bench.refused(answer, 404 if answer["code"] == "no_route" else 400, answer["code"])
    bench.refused(bench.operator.get("/v1/tenants/none"), 404, "not_found")
    bench.refused(bench.operator.get("/v1/tenants/" + "a" * 65), 404, "not_found")
    bench.refused(bench.vault.operator("none").get("/v1/keys"), 404, "unknown_tenant")
    bench.refused(bench.vault.operator(CANARY.upper()).get("/v1/keys"), 400, "invalid_tenant")
    bench.operator.put("/v1/tenants/other", {}).expect(201)
    bench.refused(bench.steward.get("/v1/policy?tenant=other"), 403, "tenant_forbidden")
    bench.refused(bench.app.get(f"/v1/subjects/{bench.subject}?purpose=service&tenant=other"), 403, "tenant_forbidden")
    made = bench.vault.operator("other").post("/v1/credentials", {"role": "steward", "expires_in": "P1D"}).expect(201)
    fresh = bench.vault.client(made["token"])
    bench.refused(fresh.get("/v1/policy"), 404, "no_policy")
    bench.refused(fresh.post("/v1/explain", {"role": "app", "purpose": "service"}), 409, "no_policy")
    bench.refused(bench.operator.post("/v1/credentials", {"role": "steward", "expires_in": "P1D"}), 422, "tenant_required")


def preconditions(bench):
    app = bench.app
    made = app.post("/v1/subjects", person(name="Fay")).expect(201)
    record = f"/v1/subjects/{made['id']}/records/{made['records'][0]['id']}"
    change = {"fields": {"name": "Gea"}}
    bench.refused(app.patch(record, change), 428, "if_match_required")
    for bad in ("1", "\"\"", "\"x\"", "W/\"1\"", "\"1\", \"2\"", "\"0\"", "\"-1\"", f"\"{CANARY}\"", "\"99999999999999999999\""):
        bench.refused(app.patch(record, change, headers={"If-Match": bad}), 400, "invalid_header")
    bench.refused(app.patch(record, change, headers={"If-Match": "\"2\""}), 412, "version_mismatch")
    seen = app.get(f"{record}?purpose=service").expect(200)
    equal(seen.headers["etag"], "\"1\"", "the version is the ETag")
    changed = app.patch(record, change, headers={"If-Match": seen.headers["etag"]}).expect(200)
    equal(changed.headers["etag"], "\"2\"", "and counts up")
    bench.refused(app.patch(record, change, headers={"If-Match": "\"1\""}), 412, "version_mismatch")
    app.patch(record, {"fields": {"name": None}}, headers={"If-Match": "*"}).expect(200)
    equal(app.get(f"{record}?purpose=service").expect(200)["fields"], {}, "null removes")


def idempotency(bench):
    app, steward = bench.app, bench.steward
    body = person(name="Hal", nick="hal")
    first = app.post("/v1/subjects", body, headers={"Idempotency-Key": "key-1"}).expect(201)
    again = app.post("/v1/subjects", body, headers={"Idempotency-Key": "\"key-1\""}).expect(201)
    equal(again["id"], first["id"], "a repeated POST makes nobody new")
    equal([one["id"] for one in again["records"]], [one["id"] for one in first["records"]], "nor new records")
    found = app.post("/v1/lookup", {"field": "person.nick", "value": "hal", "purpose": "service"}).expect(200)
    equal(found["subjects"], [first["id"]], "there is one")
    bench.refused(app.post("/v1/subjects", person(name=CANARY), headers={"Idempotency-Key": "key-1"}), 422, "idempotency_key_reused")
    other = bench.vault.role("app").post("/v1/subjects", body, headers={"Idempotency-Key": "key-1"}).expect(201)
    check(other["id"] != first["id"], "a key belongs to its credential")
    for bad in ("", "a" * 256, "a b", f"{CANARY}\u00e9", "a\"b"):
        bench.refused(app.post("/v1/subjects", body, headers={"Idempotency-Key": bad.encode("utf-8")}), 400, "invalid_header")
    make = {"role": "app", "expires_in": "P1D"}
    steward.post("/v1/credentials", make, headers={"Idempotency-Key": "key-2"}).expect(201)
    replayed = steward.post("/v1/credentials", make, headers={"Idempotency-Key": "key-2"})
    bench.refused(replayed, 409, "token_already_shown")
    check(b"kl_" not in replayed.body, "a token is not shown twice")
    bench.refused(steward.post("/v1/credentials", {**make, "expires_in": "P2D"}, headers={"Idempotency-Key": "key-2"}), 422, "idempotency_key_reused")
    gone = app.post("/v1/subjects", person(name="Ida")).expect(201)
    erase = f"/v1/subjects/{gone['id']}/erase"
    receipt = app.post(erase, {"reason": "request"}, headers={"Idempotency-Key": "key-4"}).expect(200)
    again = app.post(erase, {"reason": "request"}, headers={"Idempotency-Key": "key-4"}).expect(200)
    equal((again["receipt"], again["subject"]), (receipt["receipt"], gone["id"]), "a repeated erasure gets its receipt")
    check("subject_secret" in receipt.json() and "subject_secret" not in again.json(), "the secret is told once")
    bench.refused(app.post(erase, {"reason": "other"}, headers={"Idempotency-Key": "key-4"}), 422, "idempotency_key_reused")
    bench.refused(app.post(erase, {"reason": "request"}), 404, "not_found")
    rotation = {"level": "root"}
    job = bench.operator.post("/v1/keys/rotations", rotation, headers={"Idempotency-Key": "key-5"}).expect(200)
    again = bench.operator.post("/v1/keys/rotations", rotation, headers={"Idempotency-Key": "key-5"}).expect(200)
    equal(again["id"], job["id"], "a repeated rotation is the same")
    app.delete(f"/v1/subjects/{first['id']}").expect(200)
    bench.refused(app.post("/v1/subjects", body, headers={"Idempotency-Key": "key-1"}), 410, "idempotent_result_erased")
    record = app.post(f"/v1/subjects/{other['id']}/records", {"type": "secret_file", "fields": {"about": "x"}}, headers={"Idempotency-Key": "key-3"})
    again = app.post(f"/v1/subjects/{other['id']}/records", {"type": "secret_file", "fields": {"about": "x"}}, headers={"Idempotency-Key": "key-3"})
    equal((record.expect(201)["id"], again.status), (again["id"], 201), "a record is added once")
    bench.refused(app.post("/v1/subjects", person(email="ann@mail.example")), 409, "not_unique")


def policies(bench):
    """Every policy among the fixtures: all its findings, each with its line and column and the suggestion the fixture states."""
    for fixture in sorted(FIXTURES.glob("*.yaml")):
        text = fixture.read_text()
        expected = re.findall(r"^# (error|warning) (\d+:\d+) (\w+): (.*)$", text, re.MULTILINE)
        check(expected, f"{fixture.name} says what is wrong with it")
        checked = bench.steward.post("/v1/policy/check", text, type="application/yaml").expect(200)
        equal(checked["valid"], False, f"{fixture.name} is not valid")
        equal([(one["severity"], one["place"], one["code"], one["detail"]) for one in checked["findings"]], expected, fixture.name)
        refused = bench.refused_policy(bench.steward.put("/v1/policy", text, type="application/yaml"))
        equal([(one["severity"], one["place"], one["code"], one["detail"]) for one in refused["errors"]], expected, fixture.name)
    suggestions = [one for one in FIXTURES.glob("*.yaml") if "did you mean" in one.read_text()]
    check(len(suggestions) >= 10, "many come with a suggestion")
    for text in ("", "\x00", "[", "a: &x 1", "- 1", "a: 1\na: 2", "policy: x\n" * 3, "{" * 2000, "\ufffe"):
        bench.refused_policy(bench.steward.put("/v1/policy", text or "\n", type="application/yaml"))
    bench.refused_policy(bench.steward.put("/v1/policy", b"policy: \xff\n", type="application/yaml"))
    bench.refused(bench.steward.put("/v1/policy", "- a\n" * 70000, type="application/yaml"), 413, "yaml_too_large", None)
    in_force = bench.steward.get("/v1/policy").expect(200)
    equal(in_force.body, POLICY.read_bytes(), "the policy in force is as it was")
