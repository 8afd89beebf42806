"""The docker driver's parts on what the API says, without a daemon."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests

from harness.errors import EnvironmentProblem, UnsupportedError, UsageError
from harness.spec.target import TargetSpec
from harness.target.docker import compose, counters, disk, life, limits, looks, neighbour, record, selection
from harness.target.docker.daemon import Daemon, Missing, asking, require_api
from harness.target.docker.deaths import Deaths
from harness.target.docker.driver import CAN, DockerDriver
from harness.target.docker.record import Limits
from harness.target.docker.selection import Selection

S = 1_000_000_000


class Told(Daemon):
    """A daemon that says what it was given, and nothing else."""

    def __init__(self, *, containers: list[dict[str, Any]] | None = None, events: list[dict[str, Any]] | None = None):
        super().__init__()
        self.given, self.past = containers or [], events or []
        self.asked = 0

    def containers(self, labels: dict[str, str]) -> list[dict[str, Any]]:
        return [one for one in self.given if labels.items() <= one["Labels"].items()]

    def events(self, **_: object) -> list[dict[str, Any]]:
        self.asked += 1
        return self.past


def spec(**changes: Any) -> TargetSpec:
    described = {
        "target": "t",
        "driver": "docker",
        "docker": {"project": "shop", "allow": ["web"]},
        "services": {"web": {"role": "web"}, "db": {"role": "db"}},
    }
    return TargetSpec.model_validate(described | changes)


def container(
    service: str, *, project: str = "shop", number: str = "1", label: str = "", **more: Any
) -> dict[str, Any]:
    labels = {selection.PROJECT: project, selection.SERVICE: service, selection.NUMBER: number}
    labels |= {selection.INSTANCE: label} if label else {}
    return {
        "Id": f"{service}{number}",
        "Names": [f"/{project}_{service}_{number}"],
        "State": "running",
        "Labels": labels,
    } | more


def chosen(*containers: dict[str, Any], described: TargetSpec | None = None, instance: str = "mine") -> Selection:
    return Selection(described or spec(), Told(containers=list(containers)), instance=instance, project="shop")


# --- which containers -------------------------------------------------------------------------------------------------


def test_what_target_yaml_allows_may_be_touched() -> None:
    assert chosen(container("web"), container("db")).touch("web").id == "web1"


@pytest.mark.parametrize("label", ["", "other"])
def test_what_it_does_not_allow_may_be_read_and_not_touched(label: str) -> None:
    selected = chosen(container("web"), container("db", label=label))
    assert selected.find("db").id == "db1"
    with pytest.raises(EnvironmentProblem, match="it was not touched"):
        selected.touch("db")


def test_our_own_label_is_enough() -> None:
    assert chosen(container("db", label="mine")).touch("db").id == "db1"


def test_a_container_of_another_project_is_never_found() -> None:
    with pytest.raises(Missing, match="no container at all"):
        chosen(container("web", project="other")).find("web")


def test_what_is_set_aside_or_run_once_is_nobody() -> None:
    kept = container("web", Names=["/shop_web_1" + selection.KEPT])
    once = container("web", number="2")
    once["Labels"][selection.ONE_OFF] = "True"
    with pytest.raises(Missing):
        chosen(kept, once).find("web")


def test_two_of_a_service_must_be_told_apart() -> None:
    both = (container("web"), container("web", number="2"))
    with pytest.raises(EnvironmentProblem, match="nothing was touched"):
        chosen(*both).find("web")
    described = spec(docker={"project": "shop", "allow": ["web"], "containers": {"web": "web/2"}})
    assert chosen(*both, described=described).find("web").id == "web2"


def test_ports_are_where_they_are_published() -> None:
    ports = [
        {"PrivatePort": 80, "PublicPort": 4001, "IP": "0.0.0.0", "Type": "tcp"},
        {"PrivatePort": 53, "PublicPort": 4002, "IP": "127.0.0.1", "Type": "udp"},
        {"PrivatePort": 90, "Type": "tcp"},
    ]
    assert chosen(container("web", Ports=ports)).find("web").ports == {80: ("127.0.0.1", 4001)}


def test_a_target_without_the_section_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a section `docker`"):
        DockerDriver().inventory(spec(docker=None))


@pytest.mark.parametrize(
    "section", [{}, {"compose": "a", "project": "b"}, {"project": "b"}, {"project": "Upper", "allow": ["x"]}]
)
def test_a_section_that_says_too_little_or_too_much_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="docker"):
        spec(docker=section)


# --- inventory --------------------------------------------------------------------------------------------------------


def test_the_inventory_asks_no_daemon_and_leaves_out_what_the_target_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    found = DockerDriver().inventory(spec())
    assert CAN - found.capabilities == {"link", "tap", "model"}


def test_what_the_driver_can_not_do_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="has no clock"):
        DockerDriver().inventory(spec(capabilities=["clock"]))


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, harness.target.docker.driver as d; d.DockerDriver(); sys.exit('docker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


# --- limits -----------------------------------------------------------------------------------------------------------

OWN_CPUS = Limits(nano_cpus=500_000_000)
OWN_QUOTA = Limits(cpu_quota=50_000, cpu_period=200_000)


@pytest.mark.parametrize(
    ("baseline", "share", "sent"),
    [
        (Limits(), 0.3, {"CpuPeriod": 100_000, "CpuQuota": 30_000}),
        (Limits(), 0.001, {"CpuPeriod": 100_000, "CpuQuota": 1_000}),
        (Limits(), None, {"CpuPeriod": 100_000, "CpuQuota": -1}),
        (OWN_CPUS, 0.5, {"NanoCpus": 250_000_000}),
        (OWN_CPUS, None, {"NanoCpus": 500_000_000}),
        (OWN_QUOTA, 0.5, {"CpuPeriod": 200_000, "CpuQuota": 25_000}),
        (OWN_QUOTA, None, {"CpuPeriod": 200_000, "CpuQuota": 50_000}),
    ],
)
def test_a_share_of_the_cpu_as_it_is_sent(baseline: Limits, share: float | None, sent: dict[str, int]) -> None:
    assert limits.cpu_update(share, baseline) == sent


@pytest.mark.parametrize("baseline", [Limits(), OWN_CPUS, OWN_QUOTA])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8, None])
def test_a_share_reads_as_it_was_sent(baseline: Limits, share: float | None) -> None:
    sent = limits.cpu_update(share, baseline)
    now = Limits(
        nano_cpus=sent.get("NanoCpus", 0), cpu_quota=sent.get("CpuQuota", 0), cpu_period=sent.get("CpuPeriod", 0)
    )
    assert limits.cpu_of(now, baseline) == share


@pytest.mark.parametrize("share", [0, -0.1, 1.5, "half", True])
def test_what_is_no_share_is_refused(share: object) -> None:
    with pytest.raises(UsageError):
        limits.cpu_update(share, Limits())


def test_a_memory_limit_gives_no_swap_and_the_own_one_comes_back_with_its_swap() -> None:
    own = Limits(memory=2**27, swap=2**28)
    assert limits.memory_updates(2**26, own) == [{"Memory": 2**26, "MemorySwap": 2**26}]
    assert limits.memory_updates(2**27, own) == [{"Memory": 2**27, "MemorySwap": 2**28}]


@pytest.mark.parametrize(("memory", "told"), [(0, None), (limits.BOUNDLESS, None), (2**40, 2**40), (2**27, 2**27)])
def test_memory_without_a_limit_is_none(memory: int, told: int | None) -> None:
    assert limits.memory_of(Limits(memory=memory)) == told


@pytest.mark.parametrize("value", [0, 1000, "64MiB", True])
def test_what_is_no_memory_limit_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        limits.memory_updates(value, Limits())


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "told", "has_identity"),
    [
        ({"Running": True}, "running", True),
        ({"Running": True, "Paused": True}, "paused", True),
        ({"Running": True, "Restarting": True}, "running", False),
        ({"Running": False}, "down", False),
    ],
)
def test_what_a_container_does(state: dict[str, bool], told: str, has_identity: bool) -> None:
    inspected = {"Id": "0123456789abcdef", "State": state | {"StartedAt": "2026-01-01T00:00:00Z"}}
    assert life.state_of(inspected) == told
    assert bool(life.identity_of(inspected)) is has_identity


def test_readiness_without_an_address_is_the_health_check() -> None:
    def with_health(status: str | None, *, running: bool = True) -> dict[str, Any]:
        return {"State": {"Running": running} | ({"Health": {"Status": status}} if status else {})}

    assert looks.is_ready(with_health("healthy"), None)
    assert looks.is_ready(with_health(None), None)
    assert not looks.is_ready(with_health("starting"), None)
    assert not looks.is_ready(with_health(None, running=False), None)


def test_held_bytes_are_without_what_can_be_dropped() -> None:
    assert counters.held_bytes({"memory_stats": {"usage": 100, "stats": {"total_inactive_file": 30}}}) == 70
    first = {"total_inactive_file": 30, "total_active_file": 20, "inactive_file": 1}
    assert counters.held_bytes({"memory_stats": {"usage": 100, "stats": first}}) == 50
    assert counters.held_bytes({"memory_stats": {"usage": 100, "stats": {"inactive_file": 3, "active_file": 2}}}) == 95
    assert counters.held_bytes({"memory_stats": {}}) is None


# --- deaths -----------------------------------------------------------------------------------------------------------


def event(action: str, at: int, *, code: int = 0, service: str = "web", id: str = "c1") -> dict[str, Any]:
    attributes = {selection.SERVICE: service, selection.NUMBER: "1", "name": "x", "exitCode": str(code)}
    return {"Action": action, "timeNano": at, "Actor": {"ID": id, "Attributes": attributes}}


def deaths(tmp_path: Path, told: Told) -> Deaths:
    return Deaths(tmp_path, told, project="shop", service_of=lambda name, _: name if name == "web" else None)


def test_ends_are_told_once_with_their_reasons(tmp_path: Path) -> None:
    told = Told()
    read = deaths(tmp_path, told)
    read.begin()
    now = time.time_ns()
    told.past = [
        event("start", now + 1 * S),
        event("oom", now + 2 * S),
        event("die", now + 2 * S + 5, code=137),
        event("start", now + 2 * S + 9),
        event("die", now + 3 * S, code=137),
        event("die", now + 4 * S, code=3),
        event("die", now + 5 * S, code=1, service="not-watched"),
    ]
    exits, cursor = read.since(0)
    assert [(service, reason, code, asked) for _, service, reason, code, asked in exits] == [
        ("web", "memory", 137, False),
        ("web", "signal", 137, False),
        ("web", "exit", 3, False),
    ]
    assert read.since(cursor) == ([], 3)
    assert deaths(tmp_path, told).since(0)[1] == 3
    assert read.memory_kills("web") == 1


def test_an_end_that_was_asked_for_is_told_so_once(tmp_path: Path) -> None:
    told = Told()
    read = deaths(tmp_path, told)
    read.begin()
    read.ask("c1")
    now = time.time_ns()
    told.past = [event("die", now + 1, code=137), event("die", now + S, code=137)]
    assert [asked for *_, asked in read.since(0)[0]] == [True, False]


def test_what_ended_before_does_not_count(tmp_path: Path) -> None:
    now = time.time_ns()
    told = Told(events=[event("die", now - S, code=1)])
    read = deaths(tmp_path, told)
    read.begin()
    assert read.since(0) == ([], 0)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thrown", "words"),
    [
        (docker.errors.DockerException("Error: ('Connection aborted.', PermissionError(13, 'x'))"), "no permission"),
        (docker.errors.DockerException("Error: FileNotFoundError(2, 'No such file')"), "daemon doesn't answer"),
        (requests.exceptions.ConnectionError("refused"), "daemon doesn't answer"),
        (requests.exceptions.ReadTimeout("x"), "no answer within"),
        (docker.errors.NotFound("x", explanation="No such container: c1"), "No such container: c1"),
        (docker.errors.APIError("x", explanation="the name is in use"), "the name is in use"),
        (docker.errors.DockerException("client version 1.20 is too old"), "too old"),
    ],
)
def test_what_the_client_throws_is_put_in_words(thrown: Exception, words: str) -> None:
    with pytest.raises(EnvironmentProblem, match=words), asking("look"):
        raise thrown


def test_an_old_daemon_is_refused() -> None:
    require_api("1.41")
    require_api("1.100")
    with pytest.raises(EnvironmentProblem, match=r"speaks API 1\.40"):
        require_api("1.40")


@pytest.mark.parametrize(
    ("out", "answered", "error"),
    [("ok 0.01 503\n", True, ""), ("no 0.5 connection refused\n", False, "connection refused")],
)
def test_what_a_neighbour_says(out: str, answered: bool, error: str) -> None:
    told = neighbour._told(out)
    assert told is not None
    assert (told.answered, told.error) == (answered, error)


def test_what_a_neighbour_can_not_say_is_nothing() -> None:
    assert neighbour._told("Traceback (most recent call last):") is None


# --- files ------------------------------------------------------------------------------------------------------------


def test_every_service_of_a_compose_file_gets_our_label(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("version: '3.8'\nservices:\n  a: {image: x}\n  b: {image: y}\n")
    labelled = {"labels": {selection.INSTANCE: "i"}}
    assert compose.labels_for(file, "i") == {"version": "3.8", "services": {"a": labelled, "b": labelled}}


@pytest.mark.parametrize("text", ["", "services: [", "services: 3", "volumes: {}"])
def test_what_is_no_compose_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    with pytest.raises(EnvironmentProblem, match=r"compose\.yaml can't be read"):
        compose.labels_for(file, "i")


def test_an_instance_names_its_project_and_no_other_user_has_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / "mine"))
    mine = compose.project_of("game.day-1")
    assert mine.startswith("mldrill-game-day-1-")
    assert mine == compose.project_of("game.day-1")
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / "theirs"))
    assert compose.project_of("game.day-1") != mine


def test_a_record_is_found_again_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    kept = record.Record(
        instance="i", spec={"a": 1}, digest="d", folder="/f", seed=3, project="p", ours=True, limits={"web": OWN_CPUS}
    )
    record.folder_of("i").mkdir()
    record.save(kept)
    assert record.load("i") == kept
    assert record.known() == ["i"]
    record.forget("i")
    assert (record.load("i"), record.known()) == (None, [])


@pytest.mark.parametrize("where", ["web", "web/"])
def test_what_is_no_place_of_a_disk_is_refused(where: str) -> None:
    with pytest.raises(UsageError):
        disk._place(where)
