"""What the fault proxy costs: `python tests/bench/bench_proxy.py`, beside `toxiproxy-server` where that is on PATH.

Prints the added round trip of a 64-byte echo (p50 and p99), bytes per second over one connection and over eight, how
exact a 100 ms latency toxic is, how long adding a toxic takes, new connections per second, and memory. Rounds of both
servers alternate, and the medians over rounds are shown, since the machine's load changes between rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.proxy.client import ProxyClient

ECHO = bytes(64)
PIECE = bytes(1 << 18)
Figures = dict[str, float]


@dataclass
class Server:
    """A fault proxy under test, with one link to the echo and one to the sink."""

    name: str
    client: ProxyClient
    process: subprocess.Popen[bytes]
    echo_port: int
    sink_port: int

    @property
    def memory_mb(self) -> float:
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(rollup.split("Pss:")[1].split()[0]) / 1024


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def serve(port_of: Callable[[socket.socket], None]) -> socket.socket:
    """A peer that handles each connection by a thread."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=port_of, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


def echo(sock: socket.socket) -> None:
    with contextlib.suppress(OSError), sock:
        while data := sock.recv(1 << 16):
            sock.sendall(data)


def sink(sock: socket.socket) -> None:
    """Eight bytes say how many will come; one byte answers when they have (no benchmark may end by FIN)."""
    buffer = bytearray(1 << 20)
    with contextlib.suppress(OSError), sock:
        left = int.from_bytes(sock.recv(8, socket.MSG_WAITALL), "big")
        while left > 0:
            left -= sock.recv_into(buffer)
        sock.sendall(b"!")
        sock.recv(1)


def peers_child() -> None:
    """Peers in a process of their own, so that they don't share the client's interpreter lock."""
    listeners = [serve(echo), serve(sink)]
    print(json.dumps([listener.getsockname()[1] for listener in listeners]), flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def peers() -> Iterator[tuple[int, int]]:
    child = subprocess.Popen(
        [sys.executable, __file__, "--peers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        echo_port, sink_port = json.loads(child.stdout.readline())
        yield echo_port, sink_port
    finally:
        child.kill()
        child.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def proxy(name: str, command: list[str], echo_port: int, sink_port: int) -> Iterator[Server]:
    port = free_port()
    full = [*command, "-host" if name != "mldrill" else "--host", "127.0.0.1"]
    full += ["-port" if name != "mldrill" else "--port", str(port)]
    process = subprocess.Popen(full, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    client = ProxyClient(f"127.0.0.1:{port}", timeout_s=10)
    try:
        client.wait_ready(within_s=10)
        made = client.populate(
            [
                {"name": "echo", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{echo_port}"},
                {"name": "sink", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{sink_port}"},
            ]
        )
        yield Server(name, client, process, made[0].port, made[1].port)
    finally:
        process.terminate()
        process.wait(10)


def round_trips_us(port: int, count: int) -> list[float]:
    taken = []
    with connect(port) as sock:
        for n in range(count + 100):
            began = time.perf_counter_ns()
            sock.sendall(ECHO)
            sock.recv(64, socket.MSG_WAITALL)
            if n >= 100:
                taken.append((time.perf_counter_ns() - began) / 1e3)
    return taken


def bulk_mb_s(port: int, connections: int, total: int) -> float:
    each = total // connections // len(PIECE) * len(PIECE)

    def send() -> None:
        with connect(port) as sock:
            sock.sendall(each.to_bytes(8, "big"))
            for _ in range(each // len(PIECE)):
                sock.sendall(PIECE)
            sock.recv(1)

    threads = [threading.Thread(target=send) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * connections / (time.perf_counter() - began) / 1e6


def connections_s(port: int, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        with connect(port) as sock:
            sock.sendall(ECHO)
            sock.recv(64, socket.MSG_WAITALL)
    return count / (time.perf_counter() - began)


def latency_over_ms(server: Server, count: int) -> list[float]:
    server.client.add_toxic("echo", name="late", type="latency", attributes={"latency": 100})
    over = []
    with connect(server.echo_port) as sock:
        for _ in range(count):
            began = time.perf_counter_ns()
            sock.sendall(ECHO)
            sock.recv(64, socket.MSG_WAITALL)
            over.append((time.perf_counter_ns() - began) / 1e6 - 100)
    server.client.remove_toxic("echo", "late")
    return over


def adding_ms(server: Server, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter_ns()
        server.client.add_toxic("echo", name="add", type="latency", attributes={"latency": 1})
        taken.append((time.perf_counter_ns() - began) / 1e6)
        server.client.remove_toxic("echo", "add")
    return taken


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def measure(server: Server, direct_us: list[float]) -> Figures:
    through_us = round_trips_us(server.echo_port, 3000)
    over_ms = latency_over_ms(server, 20)
    add_ms = adding_ms(server, 30)
    return {
        "added round trip p50, us": statistics.median(through_us) - statistics.median(direct_us),
        "added round trip p99, us": p99(through_us) - p99(direct_us),
        "one connection, MB/s": bulk_mb_s(server.sink_port, 1, 512 << 20),
        "eight connections, MB/s": bulk_mb_s(server.sink_port, 8, 512 << 20),
        "connections/s": connections_s(server.echo_port, 500),
        "100 ms latency, p50 over, ms": statistics.median(over_ms),
        "100 ms latency, worst over, ms": max(over_ms),
        "adding a toxic p50, ms (client included)": statistics.median(add_ms),
        "memory, MB": server.memory_mb,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peers:
        peers_child()
        return
    commands = {"mldrill": [sys.executable, "-m", "harness.proxy"]}
    real = shutil.which("toxiproxy-server")
    if real:
        commands["toxiproxy"] = [real]
    rounds: dict[str, list[Figures]] = {name: [] for name in commands}
    with peers() as ports:
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                with proxy(name, command, *ports) as server:
                    rounds[name].append(measure(server, round_trips_us(ports[0], 3000)))
    print(f"{'median of ' + str(arguments.rounds) + ' rounds':<45}" + "".join(f"{name:>14}" for name in commands))
    for figure in rounds["mldrill"][0]:
        medians = (statistics.median(one[figure] for one in taken) for taken in rounds.values())
        print(f"{figure:<45}" + "".join(f"{value:>14.2f}" for value in medians))
    if not real:
        print("toxiproxy-server is not on PATH: nothing to compare with")


if __name__ == "__main__":
    main()
