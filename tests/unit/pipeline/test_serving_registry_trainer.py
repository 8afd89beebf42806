"""Registry, trainer and serving as real processes on loopback: what survives a kill, what is refused, what is swapped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

import pipeline
from pipeline.world import World
from tests.doubles.held_ports import free_port

FIXTURES = Path(pipeline.__file__).parents[1]
LIMIT_S = 60.0
SEED = 7
INFER = "/v2/models/risk/infer"
ASK = {"inputs": [{"name": "features", "shape": [1, 8], "datatype": "FP64", "data": [3.8, 0, 0, 0.2, 0, 0, 0.1, 5]}]}


class Plane:
    """Some roles, each in a process of its own, with the state of all below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.urls: dict[str, str] = {}
        for name in ("registry", "trainer", "serving", "source", "ingest"):
            self.urls[name] = f"http://127.0.0.1:{free_port()}"

    def start(self, *names: str, **more: str) -> None:
        for name in names:
            peers = {f"{peer.upper()}_URL": url for peer, url in self.urls.items()}
            own = {
                "PYTHONPATH": str(FIXTURES),
                "PORT": self.urls[name].rsplit(":", 1)[1],
                "SERVICE": name,
                "STATE_DIR": str(self.folder / name),
                "SEED": str(SEED),
                "OPENBLAS_NUM_THREADS": "1",
            }
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-c", f"from pipeline.{name} import main; main()"],
                    env=os.environ | peers | own | more,
                    stderr=log,
                )

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT_S)

    def ask(self, name: str, method: str, path: str, **given: Any) -> requests.Response:
        return requests.request(method, self.urls[name] + path, timeout=LIMIT_S, **given)

    def op(self, name: str, tool: str, **body: Any) -> requests.Response:
        return self.ask(name, "POST", f"/ops/{tool}", json=body)

    def ready(self, *names: str) -> None:
        for name in names:
            wait(lambda name=name: self.ask(name, "GET", "/ready").status_code == 200)

    def served(self) -> str:
        return self.ask("serving", "POST", INFER, json=ASK).json()["model_version"]

    def counter(self, line: str) -> float:
        text = self.ask("serving", "GET", "/metrics").text
        return next((float(found.rsplit(" ", 1)[1]) for found in text.splitlines() if found.startswith(line)), 0.0)


def wait(holds: Callable[[], bool]) -> None:
    """Until it holds; a peer that isn't there yet counts as no."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        try:
            if holds():
                return
        except requests.RequestException:
            pass
        time.sleep(0.02)
    pytest.fail(f"never came true within {LIMIT_S} s")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path)
    yield made
    for name in list(made.processes):
        made.kill(name)


@pytest.fixture
def champion(plane: Plane) -> Plane:
    """With the first champion made, registered and served."""
    plane.start("trainer", "registry", "serving")
    plane.ready("trainer", "registry", "serving")
    return plane


def test_the_first_champion_is_made_promoted_and_served_though_the_registry_came_last(plane: Plane) -> None:
    plane.start("trainer", "serving")
    wait(lambda: plane.ask("serving", "GET", "/health").status_code == 200)
    assert plane.ask("serving", "GET", "/ready").status_code == 503
    assert plane.ask("serving", "POST", INFER, json=ASK).status_code == 503
    plane.start("registry")
    plane.ready("trainer", "serving")
    (first,) = plane.ask("registry", "GET", "/history").json()["records"]
    assert (first["version"], first["previous"], first["actor"]) == ("1", None, "trainer")
    assert plane.served() == "1"


def test_what_the_registry_answered_survives_a_kill(champion: Plane) -> None:
    plane = champion
    version = plane.op("trainer", "variant", variant="label-shuffled").json()["version"]
    assert plane.op("registry", "promote", version=version, actor="test").status_code == 200
    before = [plane.ask("registry", "GET", path).json() for path in ("/versions", "/history")]
    plane.kill("registry")
    plane.start("registry")
    plane.ready("registry")
    assert [plane.ask("registry", "GET", path).json() for path in ("/versions", "/history")] == before
    wait(lambda: plane.served() == version)


def test_a_flipped_bit_or_a_cut_artifact_is_refused_and_the_old_model_stays(champion: Plane) -> None:
    plane = champion
    made = plane.op("trainer", "variant", variant="label-shuffled").json()
    (stored,) = plane.folder.glob(f"registry/artifacts/**/{made['digest']}.onnx")
    whole = stored.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    stored.write_bytes(flipped)
    plane.op("registry", "promote", version=made["version"], actor="test")
    wait(lambda: plane.counter('serving_loads_total{end="damaged"}') >= 1)
    stored.write_bytes(whole[:-100])
    seen = plane.counter('serving_loads_total{end="damaged"}')
    wait(lambda: plane.counter('serving_loads_total{end="damaged"}') > seen + 1)
    assert (plane.served(), plane.ask("serving", "GET", "/ready").status_code) == ("1", 200)
    assert '"end": "damaged"' in (plane.folder / "serving.log").read_text()
    stored.write_bytes(whole)
    wait(lambda: plane.served() == made["version"])


def test_a_restart_without_the_registry_serves_the_kept_model_unless_it_was_damaged(champion: Plane) -> None:
    plane = champion
    plane.kill("registry")
    plane.kill("serving")
    plane.start("serving")
    plane.ready("serving")
    assert plane.served() == "1"
    plane.kill("serving")
    kept = plane.folder / "serving" / "served.model"
    kept.write_bytes(kept.read_bytes()[:-1])
    plane.start("serving")
    wait(lambda: plane.ask("serving", "GET", "/health").status_code == 200)
    assert plane.ask("serving", "GET", "/ready").status_code == 503


def test_without_a_kept_model_a_restart_needs_the_registry_and_says_for_how_long_it_is_silent(champion: Plane) -> None:
    plane = champion
    plane.kill("serving")
    (plane.folder / "serving" / "served.model").unlink()
    plane.start("serving", KEEP_MODEL="0")
    plane.ready("serving")
    plane.kill("registry")
    wait(lambda: plane.counter("serving_registry_silent_seconds") > 0.5)
    assert plane.served() == "1", "what runs goes on"
    plane.kill("serving")
    plane.start("serving", KEEP_MODEL="0")
    wait(lambda: plane.counter("serving_registry_silent_seconds") > 0.5)
    assert plane.ask("serving", "GET", "/ready").status_code == 503
    plane.start("registry")
    plane.ready("serving")
    wait(lambda: plane.counter("serving_registry_silent_seconds") == 0.0)
    assert not (plane.folder / "serving" / "served.model").exists()


def test_a_replica_that_follows_nothing_takes_the_champion_when_it_starts_and_keeps_it(champion: Plane) -> None:
    plane = champion
    plane.kill("serving")
    (plane.folder / "serving" / "served.model").unlink()
    plane.start("serving", KEEP_MODEL="0")
    plane.ready("serving")
    assert plane.ask("serving", "PATCH", "/config", json={"follow_alias": False}).status_code == 200
    version = plane.op("trainer", "variant", variant="heavy").json()["version"]
    plane.op("registry", "promote", version=version, actor="test")
    plane.kill("serving")
    plane.start("serving", KEEP_MODEL="0")
    plane.ready("serving")
    assert plane.served() == version, "the champion at its start"
    plane.op("registry", "rollback", actor="test")
    assert plane.op("serving", "reload").json() == {"model_version": "1", "end": "swapped"}, "it hadn't looked itself"


def test_a_replaced_worker_refuses_until_it_is_warm(champion: Plane) -> None:
    plane = champion
    assert plane.ask("serving", "PATCH", "/config", json={"warm_up_s": 30.0}).status_code == 200
    assert plane.op("serving", "replace").json() == {"ready_in_s": 30.0}
    assert plane.ask("serving", "GET", "/v2/health/ready").status_code == 503
    assert plane.ask("serving", "POST", INFER, json=ASK).status_code == 503
    assert plane.ask("serving", "PATCH", "/config", json={"warm_up_s": 0.0}).status_code == 200
    plane.op("serving", "replace")
    plane.ready("serving")
    assert plane.served() == "1"
    assert plane.ask("serving", "PATCH", "/config", json={"warm_up_s": -1.0}).status_code == 400


def test_a_nan_model_is_served_as_null_and_counted_and_rolled_back(champion: Plane) -> None:
    plane = champion
    version = plane.op("trainer", "variant", variant="nan").json()["version"]
    assert plane.op("trainer", "variant", variant="nan").json()["version"] == version
    plane.op("registry", "promote", version=version, actor="test")
    wait(lambda: plane.served() == version)
    assert plane.ask("serving", "POST", INFER, json=ASK).json()["outputs"][0]["data"] == [None]
    assert plane.counter(f'serving_not_finite_total{{model_version="{version}"}}') >= 1
    back = plane.op("registry", "rollback", actor="test").json()
    assert (back["version"], back["changed"]) == ("1", True)
    assert plane.op("registry", "rollback", actor="test").json()["changed"] is False
    wait(lambda: plane.served() == "1")


def test_reset_brings_the_first_champion_back(champion: Plane) -> None:
    plane = champion
    version = plane.op("trainer", "variant", variant="heavy").json()["version"]
    plane.op("registry", "pin", version=version)
    after = plane.ask("registry", "GET", "/history").json()["next"]
    for _ in range(2):
        for role in ("registry", "trainer", "serving"):
            assert plane.ask(role, "POST", "/admin/reset").status_code == 200
    wait(lambda: plane.served() == "1")
    summary = plane.ask("registry", "GET", "/versions").json()
    assert (summary["champion"], summary["latest"], summary["pinned"]) == ("1", "1", None)
    assert plane.ask("registry", "GET", f"/history?after={after}").json() == {"records": [], "next": after}


def test_inference_refuses_what_is_not_eight_features_a_row(champion: Plane) -> None:
    tensor = ASK["inputs"][0]
    for change in ({"shape": [1, 7]}, {"datatype": "INT64"}, {"data": ["x"] * 8}, {"shape": [10**9, 8]}, {"name": "y"}):
        response = champion.ask("serving", "POST", INFER, json={"inputs": [{**tensor, **change}]})
        assert response.status_code == 400, change
        assert "error" in response.json()
    assert champion.ask("serving", "POST", INFER, json={**ASK, "id": "a"}).json()["id"] == "a"


def test_mlflow_errors_are_worded_as_mlflow_does(champion: Plane) -> None:
    prefix = "/api/2.0/mlflow"
    for method, path, status, code in (
        ("GET", "/registered-models/get?name=none", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/model-versions/get?name=risk&version=99", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/registered-models/alias?name=risk&alias=none", 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "/registered-models/get", 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "/experiments/search", 404, "ENDPOINT_NOT_FOUND"),
    ):
        response = champion.ask("registry", method, prefix + path)
        assert (response.status_code, response.json()["error_code"]) == (status, code)
    again = champion.ask("registry", "POST", prefix + "/registered-models/create", json={"name": "risk"})
    assert (again.status_code, again.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    for path in ("../registry.db", "%2e%2e/registry.db", "/etc/passwd"):
        url = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        assert champion.ask("registry", "GET", url).status_code in (400, 404)


@pytest.fixture
def readings(plane: Plane) -> Iterator[None]:
    """Source and ingest as the trainer sees them: 400 shifted rows, stored and labelled."""
    live = World(SEED).history(400, first=0, regime="shifted")
    records = {
        "/rows": [{"id": f"t-{n}", "event_time": float(n), "features": list(f)} for n, f in enumerate(live.features)],
        "/labels": [{"id": f"t-{n}", "label": int(label)} for n, label in enumerate(live.labels)],
    }

    class Reading(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = records[self.path.split("?")[0]]
            body = json.dumps({"records": found, "next": len(found)}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing: the test's output is for the test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Reading)
    plane.urls["source"] = plane.urls["ingest"] = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_retrain_on_shifted_rows_is_promoted_recorded_and_held_back_by_pin_and_failure(
    readings: None, champion: Plane
) -> None:
    plane = champion
    assert plane.op("registry", "pin", version="1").status_code == 200
    held = plane.op("trainer", "retrain", promote=True, actor="test").json()
    assert (held["promoted"], "pinned" in held["reason"]) == (False, True)
    plane.op("registry", "unpin")
    made = plane.op("trainer", "retrain", promote=True, actor="test", since=100, until=349).json()
    assert (made["promoted"], made["recent_rows"]) == (True, 250)
    assert made["quality"] > made["champion_quality"]
    wait(lambda: plane.served() == made["version"])
    assert plane.ask("trainer", "PATCH", "/config", json={"job_fail": "disk full"}).status_code == 200
    plane.kill("trainer")
    plane.start("trainer")
    plane.ready("trainer")
    failed = plane.op("trainer", "retrain", promote=True, actor="test")
    assert (failed.status_code, failed.json()) == (500, {"error": "disk full"})
    (record,) = plane.ask("trainer", "GET", "/jobs").json()["records"]
    assert (record["job"], record["status"], record["error"]) == ("retrain", "failed", "disk full")


def test_a_second_retrain_at_the_same_time_is_refused(readings: None, champion: Plane) -> None:
    def retrain(_: int) -> int:
        return champion.op("trainer", "retrain", promote=False, actor="test").status_code

    def one_was_refused() -> bool:
        """Not where those who ask are held up until the one before is through."""
        with ThreadPoolExecutor(4) as together:
            answers = set(together.map(retrain, range(4)))
        assert answers <= {200, 409}
        assert 200 in answers
        return 409 in answers

    wait(one_was_refused)
