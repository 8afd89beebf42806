"""A real Toxiproxy for tests: found, started on a free port, ended by its pid; skipped where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.proxy.client import ProxyClient

READY_S = 30.0
TRIES = 5
ROOT = Path(__file__).parents[2]


def server() -> str:
    """Where it is: TOXIPROXY_SERVER, the PATH, or build/bin. Skips without one, unless MLDRILL_TOXIPROXY=required."""
    named = os.environ.get("TOXIPROXY_SERVER")
    built = ROOT / "build" / "bin" / "toxiproxy-server"
    found = named or shutil.which("toxiproxy-server") or (str(built) if built.exists() else None)
    if found is None:
        words = "no toxiproxy-server: name one in TOXIPROXY_SERVER"
        if os.environ.get("MLDRILL_TOXIPROXY") == "required":
            pytest.fail(words)
        pytest.skip(words)
    return found


@contextlib.contextmanager
def running() -> Iterator[tuple[ProxyClient, subprocess.Popen[bytes]]]:
    """One on a port of its own, ready."""
    process, port = _started()
    try:
        client = ProxyClient(f"127.0.0.1:{port}", timeout_s=10)
        client.wait_ready(within_s=READY_S)
        yield client, process
    finally:
        process.kill()
        process.wait(READY_S)


def _started() -> tuple[subprocess.Popen[bytes], int]:
    """It must be told its port, and another program may take that before it listens: then it ends, and gets another."""
    for _ in range(TRIES):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        process = subprocess.Popen(
            [server(), "-host", "127.0.0.1", "-port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if _listens(process, port):
            return process, port
        process.wait(READY_S)
    raise AssertionError(f"toxiproxy-server ended {TRIES} times without listening")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it came to listen, itself; False: it has ended, because somebody else has the port."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(psutil.Error):
            held = psutil.Process(process.pid).net_connections(kind="tcp")
            if any((one.status, one.laddr.port) == (psutil.CONN_LISTEN, port) for one in held if one.laddr):
                return True
        time.sleep(0.02)
    process.kill()
    return False
