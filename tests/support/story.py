"""What the scenarios of organisations share: people made and read, and time that passes by libfaketime, never by sleeping."""

import glob
import time

from kluis import equal

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
NIGHT_TIMEOUT_S = 60


def make(client, kind, fields, consents=(), source="person"):
    """A subject with one record; each consent as the API takes it. Their ids."""
    made = client.post("/v1/subjects", {"records": [{"type": kind, "source": source, "fields": fields, "consents": list(consents)}]}).expect(201)
    return made["id"], made["records"][0]["id"]


def add(client, subject, kind, fields, source="person"):
    return client.post(f"/v1/subjects/{subject}/records", {"type": kind, "source": source, "fields": fields}).expect(201)["id"]


def seen(client, subject, purpose, fields, **more):
    """What is shown of the first record of the type that these fields are of, why the rest is not, and how."""
    query = "".join(f"&{key}={value}" for key, value in more.items())
    records = client.get(f"/v1/subjects/{subject}?purpose={purpose}&fields={fields}{query}").expect(200)["records"]
    record = next(one for one in records if one["type"] == fields.split(".")[0])
    return record.get("fields", {}), record.get("withheld", {}), record.get("views", {})


def event(client, subject, record, name):
    return client.post(f"/v1/subjects/{subject}/records/{record}/events", {"event": name}).expect(200)["kept_for"]


def gone(client, subject, purpose):
    client.get(f"/v1/subjects/{subject}?purpose={purpose}").expect(404, "not_found")


def at_day(vault, days):
    """The server again, so many days from now."""
    vault.stop()
    vault.environment = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": f"+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    vault.start()


def nightly_runs(vault, tenant=None):
    return [one for one in vault.operator(tenant).get("/v1/retention/runs").expect(200)["runs"] if one["nightly"] and one["state"] == "done"]


def later(vault, days, name):
    """The server again, so many days from now, when that night's run has come to its end: that run. The vault sweeps by night (`--sweep-at`)."""
    before = len(nightly_runs(vault))
    at_day(vault, days)
    deadline = time.monotonic() + NIGHT_TIMEOUT_S
    while len(runs := nightly_runs(vault)) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    equal(len(runs), before + 1, f"one run by night, {name}")
    equal((runs[0]["failed"], runs[0]["dry_run"]), (0, False), name)
    return runs[0]
