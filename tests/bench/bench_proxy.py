"""What the fault proxy costs, beside Toxiproxy: `python tests/bench/bench_proxy.py [--rounds N] [--markdown]`.

Both servers run in the same session, in turns, between the same compiled client and peer (proxy_peer.c, which needs a C
compiler), so that a machine's load and the client's own cost fall on both. Shown are the medians over the rounds, the
ratio of ours to Toxiproxy's, and the figure asked for with its verdict; what is missed is no error of the benchmark.

The real server is $TOXIPROXY_SERVER, or toxiproxy-server on PATH or in build/bin; without one, only ours is measured.
Exits with 2 where there is no compiler, and with 1 where a measurement could not be taken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.proxy_table import Column, console, markdown

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("proxy_peer.c")
START_S_MAX = 15.0
CLIENT_S_MAX = 70.0
IDLE_CONNECTIONS = 2000
STEADY_RATE = 1700
BULK_S_MAX = 30.0
TURNS = 7
RECORDS = 50
EXIT_NO_COMPILER = 2


def compile_peer(into: Path) -> Path | None:
    """The client and peer, or None where nothing compiles C."""
    named = os.environ.get("CC")
    compiler = shutil.which(named) if named else shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    built = into / "proxy_peer"
    subprocess.run([compiler, "-O2", "-o", str(built), str(SOURCE)], check=True, timeout=60)
    return built


def real_server() -> str | None:
    built = ROOT / "build" / "bin" / "toxiproxy-server"
    named = os.environ.get("TOXIPROXY_SERVER")
    return named or shutil.which("toxiproxy-server") or (str(built) if built.exists() else None)


def ask(api: str, method: str, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{api}{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=START_S_MAX) as answer:
        return json.loads(answer.read() or b"null")


@dataclass(frozen=True)
class Ports:
    echo: int
    sink: int
    http: int


@dataclass
class Bench:
    """A fault proxy under test between the compiled client and its peer; `direct` are the peer's own ports."""

    built: Path
    process: subprocess.Popen[bytes]
    api: str
    direct: Ports
    through: Ports
    seconds: float

    def client(self, *words: object) -> dict[str, float]:
        """Runs a client and gives what it measured."""
        done = subprocess.run(
            [str(self.built), *map(str, words)], check=True, capture_output=True, timeout=CLIENT_S_MAX, text=True
        )
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    def started(self, *words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.built), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pss_mb(self) -> float:
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(rollup.split("Pss:")[1].split()[0]) / 1024

    @property
    def cpu_s(self) -> float:
        """Of all its threads, also of those that ended, to the nanosecond (`/proc/stat` counts 10 ms)."""
        scheduler_clock = 2
        return time.clock_gettime((~self.process.pid << 3) | scheduler_clock)

    @contextlib.contextmanager
    def toxic(self, link: str, **attributes: int) -> Iterator[None]:
        body = {"name": "bench", "type": "latency", "stream": "downstream", "attributes": attributes}
        ask(self.api, "POST", f"/proxies/{link}/toxics", body)
        yield
        ask(self.api, "DELETE", f"/proxies/{link}/toxics/bench")


Figures = dict[str, float]


def round_trips(bench: Bench) -> Figures:
    """In short turns with direct ones, since a machine's own pace drifts."""
    span = bench.seconds / (2 * TURNS)
    direct: list[float] = []
    through: list[float] = []
    for _ in range(TURNS):
        direct.append(bench.client("echo", bench.direct.echo, 10**6, span, 0)["p50_us"])
        through.append(bench.client("echo", bench.through.echo, 10**6, span, 0)["p50_us"])
    bare = statistics.median(direct)
    return {"direct_us": bare, "added_us": statistics.median(through) - bare}


def bulk(bench: Bench) -> Figures:
    one = bench.client("bulk", bench.through.sink, 1, bench.seconds)
    fifty = bench.client("bulk", bench.through.sink, 50, bench.seconds)
    return {"bulk_1": one["bytes_s"] / 1e6, "bulk_50": fifty["bytes_s"] / 1e6}


def ping_beside_bulk(bench: Bench) -> Figures:
    """Also without a proxy: on two busy cores much of a ping is waiting for one of them."""
    bare = _beside_bulk(bench, bench.direct)
    through = _beside_bulk(bench, bench.through)
    return {"ping_bare": bare["p99_us"] / 1e3, "ping_p50": through["p50_us"] / 1e3, "ping_p99": through["p99_us"] / 1e3}


def _beside_bulk(bench: Bench, ports: Ports) -> Figures:
    loaded = bench.started("bulk", ports.sink, 50, BULK_S_MAX)
    time.sleep(0.3)  # until they flow
    ping = bench.client("steady", ports.echo, 250, bench.seconds, 30)
    loaded.terminate()
    _, _ = loaded.communicate(timeout=CLIENT_S_MAX)
    if loaded.returncode != 0:
        raise RuntimeError("the bulk connections broke")
    return ping


def connections(bench: Bench) -> Figures:
    return {"churn": bench.client("churn", bench.through.echo, 16, bench.seconds / 2)["connections_s"]}


def latency(bench: Bench) -> Figures:
    with bench.toxic("echo", latency=100, jitter=0):
        late = bench.client("steady", bench.through.echo, 200, bench.seconds * 1.5, 40)
    return {"late_p50": late["p50_us"] / 1e3 - 100, "late_p99": late["p99_us"] / 1e3 - 100}


def adding(bench: Bench) -> Figures:
    port = int(bench.api.rpartition(":")[2])
    held = bench.started("idle", bench.through.echo, 8)
    assert held.stdout is not None
    held.stdout.readline()
    added = bench.client("toxic", port, "echo", 60)
    held.communicate(timeout=CLIENT_S_MAX)
    return {"add_p50": added["p50_us"] / 1e3}


def idle(bench: Bench) -> Figures:
    held = bench.started("idle", bench.through.echo, IDLE_CONNECTIONS)
    assert held.stdout is not None
    told = held.stdout.readline()
    if not told:
        raise RuntimeError(f"{IDLE_CONNECTIONS} connections could not be opened")
    memory = bench.pss_mb
    held.communicate(timeout=CLIENT_S_MAX)
    return {"idle_mb": memory}


def steady(bench: Bench) -> Figures:
    before = bench.cpu_s
    done = bench.client("steady", bench.through.echo, STEADY_RATE, bench.seconds * 1.5, 16)
    return {"cpu_us": (bench.cpu_s - before) / done["count"] * 1e6}


def tap(bench: Bench) -> Figures:
    """Ours only: with the tap, and without it before and after."""
    rows = [{"id": f"r-{n}", "amount": n * 1.5, "age": n, "country": "NL", "score": 0.25} for n in range(RECORDS)]
    batch = bench.built.with_name("batch.json")
    batch.write_text(json.dumps(rows))
    words = ("post", bench.through.http, 10**6, bench.seconds / 2, batch)
    spec = {"type": "scale", "factor": 100, "columns": ["amount"]}
    bare = [bench.client(*words)["p50_us"]]
    body = {"name": "bench", "stream": "upstream", "record": "$", "id": "id", "corrupt": spec}
    ask(bench.api, "POST", "/proxies/http/taps", body)
    tapped = bench.client(*words)["p50_us"]
    ask(bench.api, "DELETE", "/proxies/http/taps/bench")
    bare.append(bench.client(*words)["p50_us"])
    return {"tap_ms": (tapped - statistics.fmean(bare)) / 1e3}


MEASURES: dict[str, Callable[[Bench], Figures]] = {
    "round-trips": round_trips,
    "bulk": bulk,
    "ping": ping_beside_bulk,
    "connections": connections,
    "latency": latency,
    "adding": adding,
    "steady": steady,
    "idle": idle,
    "tap": tap,  # last: it loads numpy into the process
}


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def free_port() -> int:
    """Above the ports that connections get, or a client's own could have it by the time that the server wants it."""
    return random.randrange(61_500, 65_000)


@contextlib.contextmanager
def running(column: Column, command: list[str], built: Path, seconds: float) -> Iterator[Bench]:
    peer = subprocess.Popen([str(built), "peer"], stdout=subprocess.PIPE)
    with ended(peer):
        assert peer.stdout is not None
        direct = Ports(**json.loads(peer.stdout.readline()))
        port = free_port()
        where = ["-host", "127.0.0.1", "-port"] if column is Column.THEIRS else ["--host", "127.0.0.1", "--port"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([*command, *where, str(port)], stdout=quiet, stderr=quiet, cwd=ROOT)
        with ended(process):
            api = f"127.0.0.1:{port}"
            wait_ready(api)
            links = {"echo": direct.echo, "sink": direct.sink, "http": direct.http}
            made = {name: link(api, name, upstream) for name, upstream in links.items()}
            yield Bench(built, process, api, direct, Ports(**made), seconds)


def wait_ready(api: str) -> None:
    end_s = time.monotonic() + START_S_MAX
    while True:
        try:
            ask(api, "GET", "/version")
        except OSError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.02)
        else:
            return


def link(api: str, name: str, upstream: int) -> int:
    body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}", "enabled": True}
    made = ask(api, "POST", "/proxies", body)
    assert isinstance(made, dict)
    return int(made["listen"].rpartition(":")[2])


def machine(real: str | None) -> str:
    version = ""
    if real:
        version = subprocess.run([real, "-version"], capture_output=True, text=True, timeout=10, check=False).stdout
    theirs = version.strip() or "no Toxiproxy"
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}; {theirs}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each server (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="scale of each measurement (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), help="some of the measurements")
    parser.add_argument("--markdown", action="store_true", help="print the table for docs/proxy-figures.md")
    parser.add_argument("--flags", default="", help="further flags of ours, as in --flags=--spin-us=0")
    arguments = parser.parse_args()
    real = real_server()
    commands = {Column.OURS: [sys.executable, "-m", "harness.proxy", *arguments.flags.split()]}
    if real:
        commands[Column.THEIRS] = [real]
    taken: dict[Column, list[Figures]] = {column: [] for column in commands}
    with tempfile.TemporaryDirectory() as folder:
        built = compile_peer(Path(folder))
        if built is None:
            print("bench_proxy: no C compiler (cc or gcc) on PATH, so there is no client to measure with")
            return EXIT_NO_COMPILER
        for number in range(arguments.rounds):
            order = list(commands) if number % 2 == 0 else list(reversed(commands))
            for column in order:
                with running(column, commands[column], built, arguments.seconds) as bench:
                    figures: Figures = {}
                    for name in arguments.only or MEASURES:
                        if name != "tap" or column is Column.OURS:
                            figures |= MEASURES[name](bench)
                    taken[column].append(figures)
    medians = {
        column: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for column, rounds in taken.items()
    }
    show = markdown if arguments.markdown else console
    print(show(medians, f"{machine(real)}; medians of {arguments.rounds} rounds"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
