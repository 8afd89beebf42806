"""Roles of the reference pipeline on real sockets, each served from a thread of the test process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import uvicorn

from pipeline import web

SEED = "7"
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Role:
    """A role that is being served."""

    url: str

    def get(self, path: str) -> Any:
        """The decoded body, whatever the status."""
        return requests.get(self.url + path, timeout=WAIT_S).json()

    def status(self, path: str) -> int:
        """The status alone."""
        return requests.get(self.url + path, timeout=WAIT_S).status_code

    def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The decoded body of an answer that must have this status."""
        answer = requests.post(self.url + path, json={} if body is None else body, timeout=WAIT_S)
        assert answer.status_code == status, answer.text
        return answer.json()

    def patch(self, status: int = 200, **changes: Any) -> Any:
        """Change settings; the answer must have this status."""
        answer = requests.patch(self.url + "/config", json=changes, timeout=WAIT_S)
        assert answer.status_code == status, answer.text
        return answer.json()

    def records(self, path: str, after: int = 0) -> list[dict[str, Any]]:
        """A record reading."""
        return self.get(f"{path}?after={after}")["records"]

    def metric(self, name: str) -> float:
        """The sum of the samples whose line begins with this."""
        text = requests.get(self.url + "/metrics", timeout=WAIT_S).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


_ending: dict[Path, threading.Thread] = {}


def gone(state_dir: Path) -> None:
    """Wait until the role that was served from there has ended: a tenth of a second, which most tests needn't
    wait."""
    thread = _ending.pop(state_dir, None)
    if thread is not None:
        thread.join(WAIT_S)
        assert not thread.is_alive()


@contextmanager
def serving(
    build: Callable[[web.Setup], web.Service], state_dir: Path, *, service: str = "role", port: int = 0, **env: str
) -> Iterator[Role]:
    """Serve a role until the block ends."""
    environment = {"STATE_DIR": str(state_dir), "SEED": SEED, "PORT": str(port), "SERVICE": service, **env}
    setup = web.Setup.from_environment(environment)
    gone(state_dir)
    sock = web.bind(setup)
    config = uvicorn.Config(
        build(setup).app(), lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started, "the role serves")
        yield Role(f"http://127.0.0.1:{sock.getsockname()[1]}")
    finally:
        server.should_exit = server.force_exit = True
        _ending[state_dir] = thread


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition to hold; give what it gave."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never came true: {what}")


def decision(transaction: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A decision record as the gateway puts it on the bus."""
    return {
        "transaction": transaction,
        "id": transaction.get("id"),
        "decision": "approve",
        "score": 0.1,
        "model_version": "1",
        "replica": "serving-a",
        "fallback": False,
        "features": [0.0] * 8,
        "stored": {},
        "feature_age_s": 0.5,
        "feature_status": "fresh",
        "t": transaction["event_time"] if transaction.get("event_time") else time.time(),
    } | changes
