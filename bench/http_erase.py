#!/usr/bin/env python3
"""Erasures over TLS 1.3 with kept connections: one after the other, and by 64 clients at once, beside the machine's own syncs.

    bench/http_erase.py [--subjects 200000] [--seconds 4] [--rounds 3] [--build build/release]

Needs wrk (Debian package wrk).
"""
import argparse
import os
import statistics
import sys
import time

from http_subjects import SOURCE, load, vault_of, wrk

CONNECTIONS = (1, 64)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--subjects", type=int, default=200000)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default=str(SOURCE / "build/release"))
    return parser.parse_args()


def sync_ms(folder, count=200):
    """The median of an append of 4 KiB and its fdatasync."""
    times = []
    with open(folder / "sync", "wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main():
    options = arguments()
    runs = len(CONNECTIONS) * options.rounds
    each = options.subjects // runs
    with vault_of(options.build, "tests/scenarios/durability/policy.yaml") as (vault, folder):
        token = vault.role("app").token
        ids = load(vault, token, options.subjects, options.subjects)
        seen = {connections: [] for connections in CONNECTIONS}
        syncs = []
        for run in range(runs):
            connections = CONNECTIONS[run % len(CONNECTIONS)]
            script = folder / "erase.lua"
            script.touch(mode=0o600)
            paths = ",".join(f'"/v1/subjects/{one}"' for one in ids[run * each:(run + 1) * each])
            script.write_text(f'wrk.method = "DELETE"\nwrk.headers["Authorization"] = "Bearer {token}"\nlocal paths, at = {{{paths}}}, 0\n'
                              "request = function() at = at + 1; return wrk.format(nil, paths[at]) end\n")
            syncs.append(sync_ms(folder))
            rate, p50, p99 = wrk(f"https://127.0.0.1:{vault.port}/", connections, options.seconds, script)
            if rate * options.seconds > each:
                sys.exit("more was erased than there were subjects: take more with --subjects")
            seen[connections].append((rate, p50, p99))
    print(f"{options.subjects} subjects; {options.rounds} rounds of {options.seconds} s each, in turns; medians; a sync of 4 KiB: "
          f"{statistics.median(syncs):.2f} ms")
    print("| connections | erasures/s | p50 ms | p99 ms |")
    print("|---|---|---|---|")
    for connections, rows in seen.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*rows))
        print(f"| {connections} | {rate:,.0f} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main()
