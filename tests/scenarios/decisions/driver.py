"""The real vault behind lines (tests/support/vault_driver): requests and answers of the API, at a time of the test's."""

import json
import os
import subprocess

from model import moment


class Driver:
    """Of one process: its vault is gone with it."""

    def __init__(self):
        program = os.path.join(os.environ["KLUIS_BUILD_DIR"], "tests/support/vault_driver")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, TMPDIR=os.getcwd()))
        self.tenants = 0
        self.requests = 0
        first = json.loads(self.process.stdout.readline())["operator"]
        # The first one lasts ten years from 2019 on; this one serves all histories.
        self.operator = self.call(moment(2028, 1, 1), first, "POST", "/v1/credentials", {"role": "operator", "expires_in": "P3660D"})[1]["token"]

    def line(self, line):
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise EOFError(f"the vault's process ended with status {self.process.wait()} at {line}")
        self.requests += 1
        answer = json.loads(answer)
        return answer["status"], answer["body"]

    def call(self, now, token, method, target, body=None, **more):
        line = dict({"now": now, "method": method, "target": target, "token": token}, **more)
        if body is not None:
            line["body"] = json.dumps(body)
        return self.line(line)

    def upkeep(self, now):
        return self.line({"now": now, "upkeep": True})

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


class Tenant:
    """A controller with a policy, for one case; credentials are made when they are first needed."""

    def __init__(self, driver, now, policy):
        self.driver = driver
        driver.tenants += 1
        self.name = f"t{driver.tenants}"
        self.tokens = {}
        self.expect(201, now, driver.operator, "PUT", f"/v1/tenants/{self.name}", {"store": "main"})
        steward = {"role": "steward", "expires_in": "P3660D"}
        self.steward = self.expect(201, now, driver.operator, "POST", f"/v1/credentials?tenant={self.name}", steward)["token"]
        self.apply(now, policy)

    def expect(self, status, *args, **more):
        got, body = self.driver.call(*args, **more)
        assert got == status, f"{args}: {got} {body}, not {status}"
        return body

    def apply(self, now, policy):
        # JSON is YAML too.
        self.expect(200, now, self.steward, "PUT", "/v1/policy", policy, type="application/yaml")

    def token(self, now, role, location=None, purposes=None, subject=None):
        key = (role, location, purposes, subject)
        if key not in self.tokens:
            body = {"role": role, "expires_in": "P3660D"}
            body.update({name: value for name, value in (("location", location), ("purposes", purposes), ("subject", subject)) if value is not None})
            self.tokens[key] = self.expect(201, now, self.steward, "POST", "/v1/credentials", body)["token"]
        return self.tokens[key]

    def end(self, now):
        self.expect(200, now, self.driver.operator, "DELETE", f"/v1/tenants/{self.name}")
