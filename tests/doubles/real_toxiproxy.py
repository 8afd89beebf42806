"""A real Toxiproxy for tests: found, started on a free port, ended by its pid; skipped where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.proxy.client import ProxyClient

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
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = subprocess.Popen(
        [server(), "-host", "127.0.0.1", "-port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = ProxyClient(f"127.0.0.1:{port}", timeout_s=10)
        client.wait_ready(within_s=10)
        yield client, process
    finally:
        process.kill()
        process.wait(10)
