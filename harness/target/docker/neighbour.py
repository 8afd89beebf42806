"""What a service gets from a link, asked from inside its own container: networks, names and proxy as it has them.

HTTP, or Redis's protocol where the caller's variable says `redis://`; any answer is one, also a refusal in words. A few lines
of Python where the container has it, else wget, for HTTP only. The time is taken inside, so that starting the command is no part
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
host, port, path, limit, redis = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), sys.argv[5] == "redis"
ask = "PING\\r\\n" if redis else f"GET {path} HTTP/1.0\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n"
began = time.perf_counter()
def left():
    rest = limit - (time.perf_counter() - began)
    if rest <= 0: raise TimeoutError
    return rest
try:
    link = socket.create_connection((host, port), timeout=left())
    link.sendall(ask.encode())
    answer = b""
    while True:
        link.settimeout(left())
        got = link.recv(65536)
        if not got: break
        answer += got
        if redis and b"\\n" in answer: break
    if not answer.startswith((b"+", b"-") if redis else b"HTTP/"): raise ConnectionResetError("connection reset")
    print("ok", time.perf_counter() - began, 0 if redis else int(answer.split()[1]))
except TimeoutError:
    print("no", time.perf_counter() - began, "no answer in time")
except ConnectionRefusedError:
    print("no", time.perf_counter() - began, "connection refused")
except OSError as error:
    print("no", time.perf_counter() - began, error.strerror or error)
"""
NOT_FOUND = (126, 127)
TOOLS = ("python3", "wget")
REDIS = "redis"


def ask(daemon: Daemon, container: str, url: str, *, within_s: float, tools: dict[str, str]) -> ProbeReading | None:
    """One GET. `tools` remembers by container which command it has."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or (6379 if parts.scheme == REDIS else 80)
    target = (parts.hostname or "", str(port), path, f"{within_s:g}", parts.scheme)
    able = (tools[container],) if container in tools else TOOLS
    for tool in (tool for tool in able if tool == "python3" or parts.scheme != REDIS):
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
        status=int(words[2]) or None if answered else None,
        error="" if answered else words[2].strip(),
    )


def _by_wget(code: int, out: str, seconds: float) -> ProbeReading:
    """An error status is an answer, but wget doesn't say it apart from the words."""
    answered = code == 0 or "HTTP/" in out or "server returned error" in out
    return ProbeReading(answered=answered, seconds=seconds, error="" if answered else out.strip()[:200])
