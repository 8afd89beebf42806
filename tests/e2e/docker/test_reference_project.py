"""The reference pipeline in containers does what the embedded one does, on real parts, and leaves nothing behind."""

from __future__ import annotations

import json

import pytest

from tests.e2e.docker.pipeline_project import Project, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ROLES = 14
LIMIT_BYTES, REPLICA_BYTES = 160 * 1024 * 1024, 80 * 1024 * 1024
REPLICAS = {"serving-a", "serving-b"}


def test_a_start_tells_nobody(project: Project) -> None:
    active = project.get("prometheus", "/api/v1/alerts")["data"]["alerts"]
    assert (project.sink.received, [one for one in active if one["state"] == "firing"]) == ([], [])


def test_every_container_is_bounded_and_ours(project: Project) -> None:
    hosts = {one.labels["dev.mldrill.service"]: one.attrs["HostConfig"] for one in project.containers()}
    assert len(hosts) == ROLES
    limits = {name: REPLICA_BYTES if name in REPLICAS else LIMIT_BYTES for name in hosts}
    assert {name: host["Memory"] for name, host in hosts.items()} == limits
    assert {host["NanoCpus"] for host in hosts.values()} == {1_000_000_000}
    assert {one.labels["dev.mldrill.instance"] for one in project.containers()} == {project.name}


def test_decisions_go_through_redis_into_rows(project: Project) -> None:
    ids = project.pay(20)
    found = until(
        lambda: len(rows := project.post("ingest", "/rows/find", {"ids": ids})["records"]) == 20 and rows, "rows"
    )
    assert {row["fallback"] for row in found} == {False}
    assert all(isinstance(row["offset"], int) for row in found)
    redis = lambda *words: json.loads(project.run_in("bus", "redis-cli", "--json", *words)[1])  # noqa: E731 - the same words twice
    groups = lambda: {group["name"] for group in redis("xinfo", "groups", "decisions")} == {"ingest", "monitor"}  # noqa: E731 - a condition
    until(groups, "both read the stream")
    stays_s = lambda: redis("-n", "1", "ttl", "run:materialise")  # noqa: E731 - a condition
    assert until(lambda: stays_s() > 0 and stays_s(), "features are in the store, for some time") <= 3600


def test_a_restart_keeps_what_was_stored(project: Project) -> None:
    ids = project.pay(5)
    stored = lambda: len(project.post("ingest", "/rows/find", {"ids": ids})["records"]) == 5  # noqa: E731 - a condition
    until(stored, "rows are stored")
    for service in ("ingest", "bus"):
        project.container(service).restart(timeout=3)
        until(lambda service=service: project.ready(service), f"{service} is ready again")
    assert stored()
    later = project.pay(5)
    until(lambda: len(project.post("ingest", "/rows/find", {"ids": later})["records"]) == 5, "the stream goes on")


def test_state_of_limited_size_is_limited(project: Project) -> None:
    for service in ("ingest", "registry"):
        _, answer = project.run_in(service, "df", "--output=fstype,size", "--block-size=1M", "/state")
        assert answer.split()[-2:] == ["tmpfs", "64"]


def test_a_name_that_is_down_is_not_waited_for(project: Project) -> None:
    script = (
        "import socket, time; began = time.monotonic()\n"
        "try: socket.getaddrinfo('nobody-is-called-so', 80)\n"
        "except OSError: print(time.monotonic() - began < 1.0)"
    )
    assert project.run_in("proxy", "python", "-c", script) == (0, "True\n")


def test_a_kill_for_memory_is_told_and_paged(project: Project) -> None:
    version = project.post("trainer", "/ops/variant", {"variant": "heavy"})["version"]
    killed = lambda: {alert["labels"]["service"] for alert in project.sink.firing("MemoryKill")} == REPLICAS  # noqa: E731 - a condition
    try:
        # A replica has room for what it serves and too little for what is promoted: the kernel kills the role, and the
        # first process of the container lives to tell.
        project.post("registry", "/ops/promote", {"version": version, "actor": "test"})
        until(killed, "it is paged of both replicas")
        assert all(project.container(name).attrs["RestartCount"] > 0 for name in REPLICAS)
    finally:
        project.post("registry", "/ops/rollback", {"actor": "test"})
    until(lambda: all(project.ready(name) for name in REPLICAS), "their restart policy brings them back")


def test_a_wrong_model_is_paged_through_prometheus_and_alertmanager(project: Project) -> None:
    version = project.post("trainer", "/ops/variant", {"variant": "label-shuffled"})["version"]
    project.post("registry", "/ops/promote", {"version": version, "actor": "test"})
    try:
        alert = until(lambda: project.sink.firing("CanaryWrong"), "the canary is paged")[0]
        assert alert["labels"] == {"alertname": "CanaryWrong", "severity": "page", "layer": "model-quality"}
        active = project.get("prometheus", "/api/v1/alerts")["data"]["alerts"]
        assert "CanaryWrong" in {one["labels"]["alertname"] for one in active}
    finally:
        project.post("registry", "/ops/rollback", {"actor": "test"})
    done = lambda: any(a["status"] == "resolved" and a["labels"] == alert["labels"] for a in project.sink.received)  # noqa: E731 - a condition
    until(done, "it is told that it is over")


def test_a_silence_reaches_alertmanager_and_a_reset_ends_it(project: Project) -> None:
    project.post("monitor", "/ops/silence", {"rule": "GatewaySlow", "for_s": 60.0})
    states = lambda: [one["status"]["state"] for one in project.get("alertmanager", "/api/v2/silences")]  # noqa: E731 - a condition
    assert "active" in states()
    project.post("monitor", "/admin/reset")
    assert set(states()) == {"expired"}


def test_a_reset_of_the_bus_empties_it(project: Project) -> None:
    ids = project.pay(3)
    redis = lambda *words: project.run_in("bus", "redis-cli", "--json", *words)  # noqa: E731 - the same words each time
    streamed = lambda: all(one in redis("xrange", "decisions", "-", "+")[1] for one in ids)  # noqa: E731 - a condition
    until(streamed, "the gateway's queue has reached the stream")
    # The pipeline's own groups go on reading what the canary adds, and owe it for a moment: only a group that nobody
    # else reads tells what the reset did.
    assert redis("xgroup", "create", "decisions", "nobody", "0")[0] == 0
    try:
        redis("xreadgroup", "group", "nobody", "test", "streams", "decisions", ">")
        before = project.get("bus", "/streams/decisions/info")
        assert before["groups"]["nobody"]["pending"] >= len(ids)
        project.post("bus", "/admin/reset")
        after = project.get("bus", "/streams/decisions/info")
        assert (after["groups"]["nobody"]["pending"], after["last"] >= before["last"]) == (0, True)
        left = redis("xrange", "decisions", "-", f"{before['last']}-0")
        assert (left[0], json.loads(left[1])) == (0, [])
    finally:
        redis("xgroup", "destroy", "decisions", "nobody")
