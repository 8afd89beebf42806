"""What the API makes of a Redis tap's fields: shown as asked for, refused by name, lifted with its lease."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from harness.proxy.client import ProxyRefused
from tests.unit.proxy.support import TestLink

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}
TAP = {"name": "tap", "kind": "redis", "corrupt": SCALE}


@pytest.fixture
def link(link_to: Callable[[int], TestLink], listener: socket.socket) -> TestLink:
    return link_to(listener.getsockname()[1])


def test_a_tap_is_shown_as_it_was_asked_for(link: TestLink) -> None:
    path = f"/proxies/{link.name}/taps"
    asked = TAP | {
        "stream": "upstream",
        "keys": "o*",
        "field": "e",
        "record": "$.rows",
        "commands": ["evalsha", "XADD"],
    }
    limits = {"batch": 5, "body_bytes": 1000, "within_ms": 20}
    shown = link.client._call("POST", path, asked | limits)
    assert {key: shown[key] for key in (*asked, *limits)} == asked | limits | {"commands": ["EVALSHA", "XADD"]}
    assert shown["id"] == "id"
    assert link.client._call("GET", path + "/tap") == shown
    link.client._call("DELETE", path + "/tap")
    assert link.client._call("GET", path) == []


def test_a_tap_goes_with_its_lease(link: TestLink) -> None:
    link.client._call("POST", "/leases", {"id": link.name, "ttl_ms": 60_000})
    link.client._call("POST", f"/proxies/{link.name}/taps", TAP | {"lease": link.name})
    link.client._call("DELETE", f"/leases/{link.name}")
    assert link.client._call("GET", f"/proxies/{link.name}/taps") == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": ""}, "missing required field: name"),
        ({"kind": "redi"}, "Did you mean 'redis'"),
        ({"stream": "sideways"}, "stream was invalid"),
        ({"keyz": "*"}, "Did you mean 'keys'"),
        ({"commands": ["XADD"]}, "commands are for taps on upstream"),
        ({"stream": "upstream", "commands": ["XAD"]}, "Did you mean 'XADD'"),
        ({"stream": "upstream", "commands": []}, "a list of names"),
        ({"stream": "upstream", "commands": ["EVAL"]}, "name the field"),
        ({"record": "$.rows"}, "name the field"),
        ({"field": "e", "record": "rows"}, "no record path"),
        ({"within_ms": 0}, "within_ms"),
        ({"corrupt": {"type": "scal"}}, "corrupt"),
    ],
)
def test_what_is_refused(link: TestLink, change: dict[str, object], told: str) -> None:
    with pytest.raises(ProxyRefused, match=told):
        link.client._call("POST", f"/proxies/{link.name}/taps", TAP | change)
