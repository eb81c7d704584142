"""What the benchmarks over the network share: the server of a build, many subjects, and wrk."""
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

SOURCE = pathlib.Path(__file__).resolve().parent.parent
BATCH = 200
LOADERS = 48


@contextlib.contextmanager
def vault_of(build, policy):
    """A vault with a policy, served by that build from a folder of its own; yields the vault and the folder."""
    build = pathlib.Path(build).resolve()
    os.environ.setdefault("KLUIS_SOURCE_DIR", str(SOURCE))
    os.environ.setdefault("KLUISD", f"{build}/kluisd")
    os.environ.setdefault("KLUIS", f"{build}/kluis")
    sys.path.insert(0, str(SOURCE / "tests/support"))
    import kluis  # pylint: disable=import-outside-toplevel,import-error

    with tempfile.TemporaryDirectory(dir=SOURCE / "build") as name:
        os.chdir(name)
        vault = kluis.Vault("IE", flags=["--threads", "128"])
        with vault:
            vault.apply_policy(SOURCE / policy)
            yield vault, pathlib.Path(name)


def load(vault, token, subjects, keep):
    """Make them in batches; of every so many one id is kept, about keep in all."""
    kept, lock, starts = [], threading.Lock(), iter(range(0, subjects, BATCH))
    each = max(1, subjects // keep)
    failures = []

    def work():
        try:
            client = vault.client(token)
            while True:
                with lock:
                    start = next(starts, None)
                if start is None:
                    return
                made = client.post("/v1/batch", {"operations": [
                    {"op": "create", "reference": str(n), "records": [
                        {"type": "person", "fields": {"name": f"Name {n}", "number": n}}]}
                    for n in range(start, min(start + BATCH, subjects))]}, validate=False).expect(200)["results"]
                for one in made:
                    assert one["status"] == 201, one
                with lock:
                    kept.extend(one["result"]["id"] for one in made if int(one["reference"]) % each == 0)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(LOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return kept


def erase(vault, token, ids):
    left, lock = iter(ids), threading.Lock()

    def work():
        client = vault.client(token)
        while True:
            with lock:
                subject = next(left, None)
            if subject is None:
                return
            client.delete(f"/v1/subjects/{subject}", validate=False).expect(200)

    threads = [threading.Thread(target=work) for _ in range(LOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def wrk(url, connections, seconds, script):
    """Requests a second, p50 and p99 in milliseconds."""
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url],
                          capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"requests failed: the figures mean nothing\n{text}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    latency = {percent: float(value) * unit[name] for percent, value, name in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", text)}
    return float(re.search(r"Requests/sec:\s*([\d.]+)", text).group(1)), latency["50"], latency["99"]
