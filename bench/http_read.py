#!/usr/bin/env python3
"""Throughput and latency of a three-field read over TLS 1.3 with kept connections, beside nginx serving a static file of the
same size with the same certificate in the same run. Figures of these two lines compare; absolute ones belong to the machine.

    bench/http_read.py [--seconds 10] [--build build/release] [--connections 8,256] [--threads 320]

Needs wrk and nginx (Debian packages wrk, nginx-light).
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent


def arguments(description):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default=str(SOURCE / "build/release"))
    parser.add_argument("--connections", default="8,256")
    parser.add_argument("--threads", type=int, default=320)
    return parser.parse_args()


def sync_time_us(folder, count=200):
    """How long an append of 4 KiB and its fdatasync take here: median and 99th percentile."""
    path = folder / "sync"
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    return statistics.median(times), times[int(count * 0.99)]


def start_nginx(folder, tls, body, port):
    (folder / "static").mkdir()
    (folder / "static/read").write_bytes(body)
    configuration = folder / "nginx.conf"
    configuration.write_text(f"""
worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log; daemon off; user root;
events {{ worker_connections 2048; }}
http {{
    access_log off; keepalive_requests 100000000; default_type application/json;
    open_file_cache max=10; sendfile on; tcp_nodelay on;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl; root {folder}/static;
        ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key; ssl_protocols TLSv1.3;
    }}
}}
""")
    return subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)], stderr=subprocess.DEVNULL)


def wrk(url, connections, seconds, script=None):
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    if script is not None:
        command[1:1] = ["-s", str(script)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", text).group(1))
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    latency = {percent: float(value) * unit[name]
               for percent, value, name in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", text)}
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if bad:
        sys.exit(f"{bad.group(1)} requests were refused: the figures mean nothing\n{text}")
    return rate, latency["50"], latency["99"]


def prepare(vault):
    """A vault with Work Smarter's policy and one webinar attendee; returns the path to read and the token to read it with."""
    vault.apply_policy(SOURCE / "tests/scenarios/worksmarter/policy.yaml")
    website, host = vault.role("website"), vault.role("webinar_host")
    subject = website.post("/v1/subjects", {"records": [{"type": "webinar", "source": "web-form", "fields": {
        "first_name": "Anna", "last_name": "Peeters", "email": "anna.peeters@mail.example", "ip": "192.0.2.1"}}]}).expect(201)["id"]
    path = f"/v1/subjects/{subject}?purpose=run_webinar&fields=webinar.first_name,webinar.last_name,webinar.email"
    answer = host.get(path).expect(200)
    assert len(answer["records"][0]["fields"]) == 3, "three fields are expected"
    return path, host.token, answer.body


def main():
    options = arguments(__doc__)
    os.environ.setdefault("KLUIS_SOURCE_DIR", str(SOURCE))
    os.environ.setdefault("KLUISD", f"{options.build}/kluisd")
    os.environ.setdefault("KLUIS", f"{options.build}/kluis")
    sys.path.insert(0, str(SOURCE / "tests/support"))
    import kluis  # pylint: disable=import-outside-toplevel,import-error

    with tempfile.TemporaryDirectory(dir=SOURCE / "build") as name:
        folder = pathlib.Path(name)
        os.chdir(folder)
        median, worst = sync_time_us(folder)
        print(f"one fdatasync here: median {median:.0f} us, 99th percentile {worst:.0f} us")
        vault = kluis.Vault("IE", flags=["--threads", str(options.threads)])
        with vault:
            path, token, body = prepare(vault)
            script = folder / "token.lua"
            script.touch(mode=0o600)
            script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n')
            nginx_port = vault.port + 1 if vault.port < 65000 else vault.port - 1
            nginx = start_nginx(folder, vault.folder / "tls", body, nginx_port)
            time.sleep(1)
            try:
                print(f"{len(body)} bytes of JSON; {options.rounds} rounds of {options.seconds} s each, in turns; medians")
                print("| connections | who | requests/s | p50 ms | p99 ms | of nginx |")
                print("|---|---|---|---|---|---|")
                for connections in map(int, options.connections.split(",")):
                    rows = {"nginx": [], "kluisd": []}
                    for _ in range(options.rounds):
                        rows["nginx"].append(wrk(f"https://127.0.0.1:{nginx_port}/read", connections, options.seconds))
                        rows["kluisd"].append(wrk(f"https://127.0.0.1:{vault.port}{path}", connections, options.seconds, script))
                    middle = {who: [statistics.median(column) for column in zip(*seen)] for who, seen in rows.items()}
                    for who, (rate, p50, p99) in middle.items():
                        print(f"| {connections} | {who} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {rate / middle['nginx'][0]:.2f} |")
            finally:
                nginx.terminate()
                nginx.wait(10)


if __name__ == "__main__":
    main()
