#!/usr/bin/env python3
"""What reads notice of a rotation: latency of reads of one field, of subjects picked at random, over TLS 1.3 with kept connections,
while the root key is rotated (again and again, and once a second), while all pages are rotated, and while nothing is.

    bench/http_rotation.py [--subjects 1000000] [--seconds 10] [--rounds 3] [--connections 16] [--build build/release]

Needs wrk (Debian package wrk). Making the subjects takes some minutes.
"""
import argparse
import statistics
import threading
import time

from http_subjects import SOURCE, erase, load, vault_of, wrk

READ_MAX = 20000  # subjects whose ids wrk picks from
SCATTERED = 2000  # subjects erased first, so that pages are written out


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--subjects", type=int, default=1000000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--build", default=str(SOURCE / "build/release"))
    return parser.parse_args()


class Rotating:
    """Beside the reads; count is how many were done."""

    def __init__(self, vault, level, pause_s):
        self.vault, self.level, self.pause_s = vault, level, pause_s
        self.ended, self.count, self.pages, self.failure = threading.Event(), 0, 0, None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            operator = self.vault.operator()
            while self.level is not None and not self.ended.is_set():
                job = operator.post("/v1/keys/rotations", {"level": self.level}, validate=False).json()
                while job["state"] == "running" and not self.ended.is_set():
                    time.sleep(0.05)
                    job = operator.get(f"/v1/keys/rotations/{job['id']}", validate=False).json()
                self.count += job["state"] == "done"
                self.pages = job.get("pages", 0)
                self.ended.wait(self.pause_s)
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure


def settle(vault):
    """Until no rotation runs any more."""
    while any(one["state"] == "running" for one in vault.operator().get("/v1/keys/rotations", validate=False).json()["rotations"]):
        time.sleep(0.1)


def main():
    options = arguments()
    with vault_of(options.build, "tests/scenarios/durability/policy.yaml") as (vault, folder):
        token = vault.role("app").token
        began = time.monotonic()
        ids = load(vault, token, options.subjects, READ_MAX + SCATTERED)
        erase(vault, token, ids[:SCATTERED])
        print(f"{options.subjects} subjects made and {SCATTERED} erased in {time.monotonic() - began:.0f} s")
        script = folder / "read.lua"
        script.touch(mode=0o600)
        paths = ",".join(f'"/v1/subjects/{one}?purpose=service&fields=person.number"' for one in ids[SCATTERED:])
        script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\nlocal paths = {{{paths}}}\n'
                          "request = function() return wrk.format(nil, paths[math.random(#paths)]) end\n")
        kinds = {"nothing": (None, 0), "root, once a second": ("root", 1), "root, again and again": ("root", 0), "all, again and again": ("all", 0)}
        seen = {kind: [] for kind in kinds}
        rotations = dict.fromkeys(kinds, 0)
        pages = 0
        for _ in range(options.rounds):
            for kind, (level, pause_s) in kinds.items():
                with Rotating(vault, level, pause_s) as rotating:
                    seen[kind].append(wrk(f"https://127.0.0.1:{vault.port}/", options.connections, options.seconds, script))
                rotations[kind] += rotating.count
                pages = rotating.pages or pages
                settle(vault)
        print(f"{options.rounds} rounds of {options.seconds} s each, in turns, {options.connections} connections; medians; "
              f"a rotation of all: {pages} pages")
        print("| rotated meanwhile | rotations | reads/s | p50 ms | p99 ms | p99, of nothing |")
        print("|---|---|---|---|---|---|")
        base = statistics.median(p99 for _, _, p99 in seen["nothing"])
        for kind, rows in seen.items():
            rate, p50, p99 = (statistics.median(column) for column in zip(*rows))
            print(f"| {kind} | {rotations[kind]} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {p99 / base:.2f} |")


if __name__ == "__main__":
    main()
