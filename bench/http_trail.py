#!/usr/bin/env python3
"""What the audit trail costs a read: three-field reads over TLS 1.3 of kluisd, and of a kluisd that writes no entry for a read
(build target bench, never installed), in turns.

    bench/http_trail.py [--seconds 10] [--rounds 3] [--build build/release] [--connections 8,256] [--threads 320]

Needs wrk (Debian package wrk).
"""
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile

from http_read import SOURCE, arguments, prepare, sync_time_us, wrk


def main():
    options = arguments(__doc__)
    build = pathlib.Path(options.build).resolve()
    os.environ.setdefault("KLUIS_SOURCE_DIR", str(SOURCE))
    os.environ.setdefault("KLUISD", f"{build}/kluisd")
    os.environ.setdefault("KLUIS", f"{build}/kluis")
    sys.path.insert(0, str(SOURCE / "tests/support"))
    import kluis  # pylint: disable=import-outside-toplevel,import-error

    with tempfile.TemporaryDirectory(dir=SOURCE / "build") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        os.chdir(folder)
        print("one fdatasync here: median {:.0f} us, 99th percentile {:.0f} us".format(*sync_time_us(folder)))
        urls = {}
        for who, program in (("with", f"{build}/kluisd"), ("without", f"{build}/bench/kluisd_untold")):
            (folder / who).mkdir()
            os.chdir(folder / who)
            vault = kluis.Vault("IE", flags=["--threads", str(options.threads)])
            vault.program = program
            stack.enter_context(vault)
            path, token, _ = prepare(vault)
            script = folder / f"{who}.lua"
            script.touch(mode=0o600)
            script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n')
            urls[who] = (f"https://127.0.0.1:{vault.port}{path}", script)
        print(f"{options.rounds} rounds of {options.seconds} s each, in turns; medians")
        print("| connections | trail | requests/s | p50 ms | p99 ms | of without |")
        print("|---|---|---|---|---|---|")
        for connections in map(int, options.connections.split(",")):
            rows = {who: [] for who in urls}
            for _ in range(options.rounds):
                for who, (url, script) in urls.items():
                    rows[who].append(wrk(url, connections, options.seconds, script))
            middle = {who: [statistics.median(column) for column in zip(*seen)] for who, seen in rows.items()}
            for who, (rate, p50, p99) in middle.items():
                print(f"| {connections} | {who} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {rate / middle['without'][0]:.2f} |")


if __name__ == "__main__":
    main()
