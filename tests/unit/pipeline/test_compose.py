"""The containers are those of target.yaml: the same services, links, variables and rules, kept apart from the host."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PIPELINE = Path(__file__).parents[3] / "fixtures" / "pipeline"
CONSTRAINTS = Path(__file__).parents[3] / "constraints.txt"
PARTS = {"proxy", "prometheus", "alertmanager"}
"""What target.yaml doesn't call a service: the harness's own proxy, and what the monitor does itself when embedded."""
REDIS_PORT, API_PORT, ENTRY_PORT = 6379, 8474, 9001
LISTENERS = re.compile(r"(http|redis)://proxy:(\d+)(?:/(\d))?")


def load(name: str) -> Any:
    return YAML(typ="safe").load(PIPELINE / name)


COMPOSE, TARGET = load("compose.yaml"), load("target.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LINKS = json.loads((PIPELINE / "containers" / "links.json").read_text())


def test_services_are_those_of_the_target() -> None:
    assert set(SERVICES) - PARTS == set(TARGET["services"])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - PARTS))
def test_a_role_starts_as_in_the_target_and_has_its_variables(name: str) -> None:
    service, embedded = SERVICES[name], TARGET["services"][name]
    module = "pipeline.redisrole" if name == "bus" else embedded["start"]["python"].partition(":")[0]
    assert service["command"] == ["role", module]
    own = {"SERVICE", "SEED", "REDIS_PORT", "STREAM_URL", "ALERTMANAGER_URL", "PAGER_URL"}
    of_links = {link["variable"] for link in TARGET["links"].values() if link["from"] == name and "variable" in link}
    # ALERT_WEBHOOK_URL is Alertmanager's here: the monitor pages nobody itself.
    expected = of_links | set(embedded.get("env", {})) - {"ALERT_WEBHOOK_URL"}
    assert set(service["environment"]) - own == expected


def test_the_proxy_has_a_listener_for_each_link_and_no_other() -> None:
    assert {link["name"]: link["upstream"].partition(":")[0] for link in LINKS} == {
        name: link["to"] for name, link in TARGET["links"].items()
    }
    ports = [link["listen"] for link in LINKS]
    assert sorted(set(ports)) == sorted(ports)


@pytest.mark.parametrize("name", sorted(name for name, link in TARGET["links"].items() if "variable" in link))
def test_a_link_leads_through_its_listener(name: str) -> None:
    link, listener = TARGET["links"][name], next(one for one in LINKS if one["name"] == name)
    found = LISTENERS.fullmatch(SERVICES[link["from"]]["environment"][link["variable"]])
    assert found is not None
    assert found[2] == listener["listen"].rpartition(":")[2]
    assert (found[1] == "redis") == listener["upstream"].endswith(f":{REDIS_PORT}") == (link["to"] == "bus")


def test_payments_come_in_by_the_link_from_outside() -> None:
    (entry,) = (one for one in LINKS if one["name"] == "merchant-gateway")
    assert entry["listen"].endswith(f":{ENTRY_PORT}")
    assert SERVICES["proxy"]["ports"] == [f"127.0.0.1::{API_PORT}", f"127.0.0.1::{ENTRY_PORT}"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_is_bounded_labelled_and_kept_from_the_host(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"] == service["memswap_limit"]
    assert {"cpus", "pids_limit", "healthcheck"} <= service.keys()
    assert service["cap_drop"] == ["ALL"]
    assert all(re.fullmatch(r"127\.0\.0\.1::\d+", port) for port in service["ports"])
    assert service["labels"]["dev.mldrill.service"] == name
    assert {label.rpartition(".")[0] for label in service["labels"]} == {"dev.mldrill"}
    assert not {"container_name", "privileged", "network_mode", "user"} & service.keys()


def test_prometheus_and_alertmanager_hold_nothing_back() -> None:
    prometheus, alertmanager = load("containers/prometheus.yaml"), load("containers/alertmanager.yaml")
    assert (PIPELINE / "containers" / prometheus["rule_files"][0]).resolve() == PIPELINE / "rules.yaml"
    assert (prometheus["global"]["scrape_interval"], prometheus["global"]["evaluation_interval"]) == ("1s", "1s")
    assert (alertmanager["route"]["group_wait"], alertmanager["route"]["group_interval"]) == ("0s", "1s")


def test_the_heartbeat_goes_the_way_of_the_pages_and_in_every_round() -> None:
    route = load("containers/alertmanager.yaml")["route"]
    (beats,) = route["routes"]
    assert beats["matchers"] == [f"alertname = {TARGET['alerts']['heartbeat']['rule']}"]
    assert set(beats) == {"matchers", "repeat_interval"}, "a receiver of its own would prove nothing about the pages'"
    assert (beats["repeat_interval"], route["group_interval"]) == ("500ms", "1s")


def test_alertmanager_and_the_monitor_share_its_configuration() -> None:
    for name in ("alertmanager", "monitor"):
        assert "paging:/paging" in SERVICES[name]["volumes"]
    assert "ALERTMANAGER_DIR=/paging" in (PIPELINE / "Dockerfile").read_text()
    assert (
        SERVICES["monitor"]["environment"]["PAGER_URL"] == SERVICES["alertmanager"]["environment"]["ALERT_WEBHOOK_URL"]
    )


def test_what_the_image_installs_is_pinned() -> None:
    lines = (PIPELINE / "containers" / "requirements.txt").read_text().splitlines()
    wanted = {line.lower() for line in lines if not line.startswith("#")}
    pins = {line.partition("==")[0].lower() for line in CONSTRAINTS.read_text().splitlines()}
    assert wanted <= pins
