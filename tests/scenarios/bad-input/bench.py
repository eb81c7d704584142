"""What the cases share: the vault with a person in it, and what a refusal must look like."""

import json
import pathlib

from kluis import check, equal

POLICY = pathlib.Path(__file__).parent / "policy.yaml"
CANARY = "kanarie"  # in every bad value; it must come back in no answer and stay in no log
SUBJECT = "sub_" + "0" * 26
RECORD = "rec_" + "0" * 26


class Bench:
    """The vault, its clients, one person in it, and every problem seen."""

    def __init__(self, vault):
        self.vault = vault
        vault.apply_policy(POLICY)
        self.steward, self.operator = vault.steward(), vault.operator()
        self.app, self.reader, self.stranger = vault.role("app"), vault.role("reader"), vault.role("stranger")
        made = self.app.post("/v1/subjects", person(name="Ann", email="ann@mail.example", nick="Annie")).expect(201)
        self.subject, self.record = made["id"], made["records"][0]["id"]
        self.codes = set()

    def refused(self, answer, status, code, pointer=None):
        """A problem document of that status and code, without the canary; pointer: where it says the fault is."""
        answer.expect(status, code)
        self.codes.add((status, code))
        equal(answer.headers["content-type"], "application/problem+json", f"{answer.request}: type of the answer")
        problem = answer.json()
        check(CANARY not in (problem["detail"] + problem["title"]).lower(), f"{answer.request}: no value is repeated: {problem}")
        if pointer is not None:
            equal([one.get("pointer") for one in problem.get("errors", [])], [pointer], f"{answer.request}: the place of the fault")
        else:
            check(CANARY not in answer.body.decode().lower(), f"{answer.request}: no value is repeated: {problem}")
        return answer

    def refused_policy(self, answer):
        """A policy that was refused; its findings are looked at elsewhere."""
        return self.refused(answer, 422, "invalid_policy")


def person(**fields):
    return {"records": [{"type": "person", "fields": fields}]}


def text_of(value):
    return json.dumps(value)
