"""What a service gets from a link, asked from inside its own container: networks, names and proxy as it has them.

HTTP, or Redis's protocol where the caller's variable says `redis://`; any answer is one, also a refusal in words. By Python
where the container has it (`harness.target.asking`, as text), else wget, for HTTP only, which tells no more than the answer.
The time is taken inside, so that starting the command is no part of it. Where neither is there, or the container can't run
anything, None says so, and the caller looks from the host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from harness.contract.probe import ProbeReading
from harness.errors import EnvironmentProblem
from harness.target import asking, probing
from harness.target.docker.daemon import Daemon

PING = """
import socket, sys, time
host, port, limit = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began = time.perf_counter()
def left():
    rest = limit - (time.perf_counter() - began)
    if rest <= 0: raise TimeoutError
    return rest
try:
    link = socket.create_connection((host, port), timeout=left())
    link.sendall(b"PING\\r\\n")
    answer = b""
    while b"\\n" not in answer:
        link.settimeout(left())
        got = link.recv(65536)
        if not got: break
        answer += got
    if not answer.startswith((b"+", b"-")): raise ConnectionResetError("connection reset")
    print("ok", time.perf_counter() - began, 0)
except TimeoutError:
    print("no", time.perf_counter() - began, "no answer in time")
except ConnectionRefusedError:
    print("no", time.perf_counter() - began, "connection refused")
except OSError as error:
    print("no", time.perf_counter() - began, error.strerror or error)
"""
PYTHON = ("python3", "-I", "-S", "-c")
NOT_FOUND = (126, 127)
TOOLS = ("python3", "wget")
REDIS = "redis"


def ask(
    daemon: Daemon, container: str, url: str, request: Mapping[str, Any], *, within_s: float, tools: dict[str, str]
) -> ProbeReading | None:
    """One request below `url`, as `probing.request_of` gives it. `tools` remembers by container which command it has."""
    parts = urlsplit(url)
    redis = parts.scheme == REDIS
    able = (tools[container],) if container in tools else TOOLS
    for tool in (tool for tool in able if tool == "python3" or not redis):
        began = time.perf_counter()
        try:
            code, out = daemon.run(container, _command(tool, parts, request, within_s))
        except EnvironmentProblem:
            return None
        if code in NOT_FOUND or "executable file not found" in out:
            continue
        tools[container] = tool
        if tool == "wget":
            return _by_wget(code, out, time.perf_counter() - began)
        return _told(out) if redis else _seen(out)
    return None


def _command(tool: str, parts: SplitResult, request: Mapping[str, Any], within_s: float) -> list[str]:
    path = f"{parts.path.rstrip('/')}{request['path']}"
    if tool == "wget":
        return ["wget", "-q", "-T", str(max(1, round(within_s))), "-O", "/dev/null", f"http://{parts.netloc}{path}"]
    if parts.scheme == REDIS:
        return [*PYTHON, PING, parts.hostname or "", str(parts.port or 6379), f"{within_s:g}"]
    given = {
        **request,
        "host": parts.hostname or "",
        "port": parts.port or 80,
        "path": path,
        "body": request["body"].decode(),
        "limit_s": within_s,
    }
    return [*PYTHON, Path(asking.__file__).read_text(), json.dumps(given)]


def _seen(out: str) -> ProbeReading | None:
    try:
        return probing.told(json.loads(out))
    except (ValueError, EnvironmentProblem):
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
