"""What a service gets from a link, asked from inside its own container: networks, names and proxy as it has them.

A few lines of Python where the container has it, else wget. The time is taken inside, so that starting the command is no part
of it. Where neither is there, or the container can't run anything, None says so, and the caller looks from the host.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from harness.errors import EnvironmentProblem
from harness.plugin import ProbeReading
from harness.target.docker.daemon import Daemon

ASK = """
import socket, sys, time
host, port, path, limit = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
began = time.perf_counter()
def left():
    rest = limit - (time.perf_counter() - began)
    if rest <= 0: raise TimeoutError
    return rest
try:
    link = socket.create_connection((host, port), timeout=left())
    link.sendall(f"GET {path} HTTP/1.0\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    answer = b""
    while True:
        link.settimeout(left())
        got = link.recv(65536)
        if not got: break
        answer += got
    if not answer.startswith(b"HTTP/"): raise ConnectionResetError("connection reset")
    print("ok", time.perf_counter() - began, int(answer.split()[1]))
except TimeoutError:
    print("no", time.perf_counter() - began, "no answer in time")
except ConnectionRefusedError:
    print("no", time.perf_counter() - began, "connection refused")
except OSError as error:
    print("no", time.perf_counter() - began, error.strerror or error)
"""
NOT_FOUND = (126, 127)


def ask(daemon: Daemon, container: str, url: str, *, within_s: float, tools: dict[str, str]) -> ProbeReading | None:
    """One GET. `tools` remembers by container which command it has."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = (parts.hostname or "", str(parts.port or 80), path, f"{within_s:g}")
    for tool in (tools[container],) if container in tools else ("python3", "wget"):
        began = time.perf_counter()
        try:
            if tool == "python3":
                code, out = daemon.run(container, ["python3", "-I", "-S", "-c", ASK, *target])
            else:
                limit = str(max(1, round(within_s)))
                code, out = daemon.run(container, ["wget", "-q", "-T", limit, "-O", "/dev/null", url])
        except EnvironmentProblem:
            return None
        if code in NOT_FOUND or "executable file not found" in out:
            continue
        tools[container] = tool
        return _told(out) if tool == "python3" else _by_wget(code, out, time.perf_counter() - began)
    return None


def _told(out: str) -> ProbeReading | None:
    words = out.split(None, 2)
    if len(words) < 3 or words[0] not in ("ok", "no"):
        return None
    answered = words[0] == "ok"
    return ProbeReading(
        answered=answered,
        seconds=float(words[1]),
        status=int(words[2]) if answered else None,
        error="" if answered else words[2].strip(),
    )


def _by_wget(code: int, out: str, seconds: float) -> ProbeReading:
    """An error status is an answer, but wget doesn't say it apart from the words."""
    answered = code == 0 or "HTTP/" in out or "server returned error" in out
    return ProbeReading(answered=answered, seconds=seconds, error="" if answered else out.strip()[:200])
