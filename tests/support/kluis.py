"""The real kluisd on loopback, for scenarios: makes a vault in a folder, starts and stops it, speaks HTTPS to it, and holds
every answer against api/openapi.json.

    with Vault("IE") as vault:
        steward = vault.steward()
        steward.put("/v1/policy", text, type="application/yaml").expect(200)
"""
import atexit
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback

import jsonschema

SOURCE = pathlib.Path(os.environ["KLUIS_SOURCE_DIR"])
KLUISD = os.environ["KLUISD"]
KLUIS = os.environ["KLUIS"]
SANITIZED = os.environ.get("KLUIS_SANITIZE", "") != ""
START_TIMEOUT_S = 60
OF_EVERY_CALL = (405, 408, 411, 413, 414, 417, 431, 505)  # what HTTP itself can go wrong with; the default answer in openapi.json


# ---- checks -------------------------------------------------------------------------------------------------------------------

KEEP_GOING = os.environ.get("KLUIS_KEEP_GOING", "") != ""  # to see all that fails in one run
_checks = 0
_failures = 0


def check(condition, text):
    """A check of a scenario: counted, and fatal when it does not hold."""
    global _checks, _failures
    _checks += 1
    if condition:
        return
    _failures += 1
    places = [f"{pathlib.Path(frame.filename).parent.name}:{frame.lineno}" for frame in traceback.extract_stack()[:-1]
              if frame.filename != __file__]
    print(f"FAILED: {text}\n  at {' '.join(places)}", flush=True)
    if not KEEP_GOING:
        sys.exit(1)


def equal(seen, expected, text):
    check(seen == expected, f"{text}: expected {expected!r}, saw {seen!r}")


def done(name):
    if _failures > 0:
        sys.exit(f"{name}: {_failures} of {_checks} checks failed")
    print(f"{name}: {_checks} checks held", flush=True)


# ---- the description of the API ---------------------------------------------------------------------------------------------------

class Description:
    """api/openapi.json: finds the operation of a request and validates the answer's body."""

    def __init__(self):
        self.document = json.loads((SOURCE / "api/openapi.json").read_text())
        self.resolver = jsonschema.RefResolver("", self.document)
        self.paths = []
        for template, item in self.document["paths"].items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            self.paths.append((template.count("{"), re.compile(f"^{pattern}$"), template, item))
        self.paths.sort(key=lambda entry: entry[0])
        self.seen = set()

    def operation(self, method, path):
        for _, pattern, template, item in self.paths:
            if pattern.match(path):
                return template, item.get("get" if method == "HEAD" else method.lower())
        return None, None

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def check_schema(self, schema, value, what):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        for error in validator.iter_errors(value):
            check(False, f"{what}: {'/'.join(map(str, error.absolute_path))}: {error.message}")

    def check_request(self, operation, kind, body, what):
        """What the server accepts is what openapi.json describes."""
        if not body:
            return
        described = self.resolve(operation.get("requestBody", {})).get("content", {})
        if "*/*" in described:  # a file
            return
        check(kind in described, f"{what}: a body of type {kind!r} is not in openapi.json")
        if "json" in kind:
            self.check_schema(described[kind]["schema"], json.loads(body), f"{what}: request")

    def check_problem(self, response, what):
        problem = response.json()
        equal(problem["status"], response.status, f"{what}: status in the problem document")
        equal(problem["type"], f"urn:kluis:problem:{problem['code']}", f"{what}: type of the problem document")
        check(response.headers["x-request-id"] in problem["instance"], f"{what}: the problem document names the request")

    def operations(self):
        """Every operation as (method, template)."""
        return {(method.upper(), template) for _, _, template, item in self.paths for method in item
                if method in ("get", "put", "post", "patch", "delete")}

    def validate(self, method, target, response, sent=b"", sent_type="application/json"):
        path = target.split("?")[0]
        template, operation = self.operation(method, path)
        kind = response.headers.get("content-type", "").split(";")[0]
        check("x-request-id" in response.headers, f"{method} {path}: the answer has a request id")
        if response.status >= 400 and response.body and kind == "application/problem+json":
            self.check_problem(response, f"{method} {path}")
            if response.json()["code"] == "no_route":
                return
        if operation is None:
            check(response.status == 204 or response.status >= 400,
                  f"{method} {path} is answered with {response.status} and is not in openapi.json")
            return
        what = f"{method} {template} {response.status}"
        if response.status < 300:
            self.check_request(operation, sent_type.split(";")[0].lower(), sent, what)
        answers = operation["responses"]
        answer = self.resolve(answers.get(str(response.status), answers.get("default") if response.status in OF_EVERY_CALL else None))
        check(answer is not None, f"{method} {template}: status {response.status} is not in openapi.json: {response.body[:200]}")
        if answer is None:
            return
        self.seen.add((method, template, response.status))
        content = {name.split(";")[0]: value for name, value in answer.get("content", {}).items()}
        if not response.body or "*/*" in content:
            return
        check(kind in content, f"{what}: content type {kind!r} is not in openapi.json")
        schema = content[kind].get("schema")
        if schema is not None and kind == "application/x-ndjson":
            for line in response.lines():
                self.check_schema(schema, line, what)
        elif schema is not None and "json" in kind:
            self.check_schema(schema, response.json(), what)


_description = None


def description():
    global _description
    if _description is None:
        _description = Description()
    return _description


# ---- client -----------------------------------------------------------------------------------------------------------------------

class Response:
    def __init__(self, request, status, headers, body):
        self.request, self.status, self.headers, self.body = request, status, headers, body

    def json(self):
        return json.loads(self.body)

    def lines(self):
        """Of an answer that is a JSON value a line."""
        return [json.loads(line) for line in self.body.splitlines()]

    def __getitem__(self, key):
        return self.json()[key]

    def expect(self, status, code=None):
        """Fail the scenario unless the answer has this status (and, for a problem document, this code)."""
        text = self.body[:600].decode("utf-8", "replace")
        check(self.status == status, f"{self.request}: expected {status}, saw {self.status}: {text}")
        if code is not None:
            equal(self.json().get("code"), code, f"{self.request}: code")
        return self


class Client:
    """One credential (or none) over one kept connection. Not for several threads.

    What goes out and comes back is held against openapi.json: validate="answer" leaves out the request, validate=False both.
    """

    def __init__(self, vault, token=None, certificate=None, tenant=None):
        self.vault, self.token, self.certificate, self.tenant = vault, token, certificate, tenant
        self.connection, self.process = None, None

    def context(self):
        context = ssl.create_default_context(cafile=str(self.vault.tls / "ca.pem"))
        if self.certificate is not None:
            context.load_cert_chain(*self.certificate)
        return context

    def send(self, method, target, body=None, headers=None, type="application/json", validate=True):
        if self.tenant is not None:
            target += ("&" if "?" in target else "?") + f"tenant={self.tenant}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        sent = {"Content-Type": type} if body is not None else {}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        sent.update(headers or {})
        if self.process is not self.vault.process:  # it was started anew
            self.close()
            self.process = self.vault.process
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.vault.port, timeout=60, context=self.context())
            try:
                self.connection.request(method, target, body=body, headers=sent)
                raw = self.connection.getresponse()
                data = raw.read()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                self.close()
                if attempt == 2 or method not in ("GET", "DELETE"):
                    raise
        seen = {name.lower(): value for name, value in raw.getheaders()}
        if seen.get("connection", "").lower() == "close":
            self.close()
        response = Response(f"{method} {target}", raw.status, seen, data)
        if validate:
            description().validate(method, target, response, body if validate is True else b"", sent.get("Content-Type", ""))
        return response

    def get(self, target, **more):
        return self.send("GET", target, **more)

    def post(self, target, body=None, **more):
        return self.send("POST", target, body, **more)

    def put(self, target, body=None, **more):
        return self.send("PUT", target, body, **more)

    def patch(self, target, body=None, **more):
        return self.send("PATCH", target, body, **more)

    def delete(self, target, **more):
        return self.send("DELETE", target, **more)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def parse_answers(data):
    """The HTTP/1.1 answers in a stream of bytes, in order; a last one that is cut short is left out."""
    answers = []
    while b"\r\n\r\n" in data:
        head, rest = data.split(b"\r\n\r\n", 1)
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ")[1])
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            break
        answers.append(Response("raw request", status, headers, rest[:size]))
        data = rest[size:]
    return answers


def raw(vault, data, wait=10, context=None, close_after=None):
    """Send bytes over one TLS connection as they are; the answers until the server closes, or `close_after` of them have come.

    The client's end stays open: what must not happen is a server that waits for more for ever.
    """
    context = context or vault.client().context()
    received = b""
    with socket.create_connection(("127.0.0.1", vault.port), timeout=wait) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            try:
                secure.sendall(data)
                while close_after is None or len(parse_answers(received)) < close_after:
                    part = secure.recv(65536)
                    if not part:
                        break
                    received += part
            except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                pass
            except TimeoutError:
                check(False, f"the server neither answers nor closes: {data[:200]!r}, {len(parse_answers(received))} answers so far")
    return parse_answers(received)


# ---- server -----------------------------------------------------------------------------------------------------------------------

def run(*arguments, expect=0, input=None, env=None):
    """Run a command; its standard output and error as text. Another exit status than expected fails the scenario."""
    result = subprocess.run([str(a) for a in arguments], input=input, capture_output=True, text=True,
                            env={**os.environ, **(env or {})}, timeout=300, check=False)
    check(expect is None or result.returncode == expect,
          f"{' '.join(str(a) for a in arguments)}: expected exit status {expect}, saw {result.returncode}:\n"
          f"{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result


def make_certificates(folder):
    """A CA, a server certificate for 127.0.0.1 and localhost, and a client certificate, all ECDSA P-256."""
    folder.mkdir(parents=True, exist_ok=True)
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    run(*new, "-subj", "/CN=Kluis test CA", "-keyout", folder / "ca.key", "-out", folder / "ca.pem",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, extra in (("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        issue_certificate(folder, name, extra)


def issue_certificate(folder, name, extension, authority="ca"):
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"{extension}\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{authority}.pem", "-CAkey",
        folder / f"{authority}.key", "-CAcreateserial", "-days", "30", "-extfile", folder / f"{name}.ext", "-out",
        folder / f"{name}.pem")


class Vault:
    """A vault in ./name (a scenario runs in an empty folder) and the server on it."""

    def __init__(self, country="IE", name="vault", init=True, flags=(), custodian=None, passphrase_file=None):
        self.folder = pathlib.Path.cwd() / name
        self.country, self.flags = country, list(flags)
        self.custodian = custodian or f"file:{self.folder}/root/root.key"
        self.common = ["--data", str(self.folder / "data"), "--custodian", self.custodian, "--accept-f0",
                       "--allow-unlocked-memory"]
        if passphrase_file is not None:
            self.common += ["--passphrase-file", str(passphrase_file)]
        self.tls, self.credentials = self.folder / "tls", self.folder
        self.program, self.environment = KLUISD, {}  # the server, and what more is in its environment
        self.launcher = []  # words before the server's command, as ["prlimit", "--memlock=8388608", "--"]
        self.process = None
        self.port = None
        self.log_path = self.folder / "kluisd.log"
        if init:
            (self.folder / "root").mkdir(parents=True)
            make_certificates(self.tls)
            run(KLUISD, "init", *self.common, "--country", country)
        atexit.register(self.kill)

    def token(self, name):
        return (self.credentials / f"{name}.credential").read_text().strip()

    def kluis(self, *arguments, who="steward", **more):
        """Run the command `kluis` as the holder of that credential file; see run()."""
        return run(KLUIS, "--server", f"https://127.0.0.1:{self.port}", "--ca", self.tls / "ca.pem", "--credential",
                   self.credentials / f"{who}.credential", *arguments, **more)

    def start(self, *flags, expect_failure=False, may_fail=False):
        """Start and wait until it listens; with expect_failure, wait until it has ended and return its output; may_fail: either."""
        tls = self.tls
        command = [*self.launcher, self.program, "serve", *self.common, "--listen", "127.0.0.1:0", "--tls-cert", str(tls / "server.pem"),
                   "--tls-key", str(tls / "server.key"), *self.flags, *flags]
        before = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **self.environment})
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                text = self.log_path.read_bytes()[before:].decode("utf-8", "replace")
                check(expect_failure or may_fail, f"kluisd ended with {self.process.returncode}: {text[-2000:]}")
                return text
            started = re.search(rb'"event":"server_started".*"port":([0-9]+)', self.log_path.read_bytes()[before:])
            if started is not None and not expect_failure:
                self.port = int(started.group(1))
                return self
            time.sleep(0.005)
        check(False, "kluisd neither started nor ended in time")
        return None

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            equal(self.process.returncode, 0, "kluisd's exit status after SIGTERM")
        self.process = None

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        self.process = None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def client(self, token=None, **more):
        return Client(self, token, **more)

    def operator(self, tenant=None):
        return self.client(self.token("operator"), tenant=tenant)

    def steward(self):
        return self.client(self.token("steward"))

    def role(self, role, **more):
        """A client with a fresh credential for a role of the policy."""
        made = self.steward().post("/v1/credentials", {"role": role, "expires_in": "P1D", **more}).expect(201)
        return self.client(made["token"])

    def apply_policy(self, path):
        return self.steward().put("/v1/policy", pathlib.Path(path).read_text(), type="application/yaml").expect(200)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()


def in_threads(count, work):
    """work(i) on count threads; the first exception (also a failed check) comes out here."""
    failures = []

    def body(i):
        try:
            work(i)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
