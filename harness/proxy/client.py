"""The harness's side of the fault proxy: typed calls, each with a time limit, to one address.

`toxiproxy-python` is the client that users have, and speaks to a real Toxiproxy as well. It has its address as a class
attribute (one server per process), no time limits, no update, and takes a port in use for a KeyError. So its
transport is subclassed once per instance, with an address and a limit of its own, and its exceptions become ours.
What it can't do (update, leases, taps, disabling under a lease) goes over `requests` here.

An instance may be used from several threads at once: it keeps no connection. Importing this module is cheap; the
libraries are loaded at the first call.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.proxy.errors import ProxyRefused, ProxyUnreachable

if TYPE_CHECKING:
    from requests import Response

TIMEOUT_S = 2.0
READY_POLL_S = 0.01
MASK_PAGE = 10_000
NO_ENVIRONMENT: Mapping[str, None] = {"http": None, "https": None, "all": None}
"""The caller's HTTP_PROXY is not for loopback."""


@dataclass(frozen=True, kw_only=True)
class ToxicInfo:
    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, int]
    lease: str = ""
    per: str = "connection"


@dataclass(frozen=True, kw_only=True)
class ProxyInfo:
    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[ToxicInfo, ...] = ()
    lease: str = ""

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class Kind(StrEnum):
    """What answers at the address. Both say the same at `/version`; only ours knows leases."""

    OURS = "mldrill"
    TOXIPROXY = "toxiproxy"


@dataclass(frozen=True, kw_only=True)
class Affected:
    """What a toxic really did: on how many connections, to how many chunks."""

    connections: int
    chunks: int


@dataclass(frozen=True, kw_only=True)
class TapCounters:
    """`passed` counts, by reason, the messages that went by unharmed because they couldn't be damaged."""

    messages: int
    messages_damaged: int
    records: int
    records_damaged: int
    mask_next: int
    mask_dropped: int
    passed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """A record that was damaged: its id as it stood in the record (None if it had none), and which columns."""

    id: str | int | float | None
    columns: tuple[str, ...]
    t_ns: int


@dataclass(frozen=True, kw_only=True)
class MaskPage:
    """`next` is the cursor for the next call; `dropped` is how many were lost to the log's bound since its start."""

    records: tuple[MaskRecord, ...]
    next: int
    dropped: int


class ProxyClient:
    """One proxy server, by the address of its API (`127.0.0.1:8474`). Every call raises ProxyUnreachable or
    ProxyRefused, and takes at most about `timeout_s`."""

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self._host = host
        self._port = int(port)
        self._timeout_s = timeout_s
        self._transport: Any = None

    def _library(self) -> Any:
        """toxiproxy-python's transport, with this instance's address and time limit."""
        if self._transport is None:
            from toxiproxy.api import APIConsumer

            self._transport = type("Transport", (APIConsumer,), {"host": self._host, "port": self._port})
        return self._transport

    def _limits(self, timeout_s: float | None = None) -> dict[str, Any]:
        return {"timeout": timeout_s or self._timeout_s, "proxies": dict(NO_ENVIRONMENT)}

    def _call(self, method: str, path: str, body: object = None, *, timeout_s: float | None = None) -> Any:
        """Through the library where it has the verb, else over requests; gives the decoded body or None."""
        import requests
        from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

        limits = self._limits(timeout_s)
        try:
            if method == "GET":
                response = self._library().get(path, **limits)
            elif method == "DELETE":
                response = self._library().delete(path, **limits)
            elif method == "POST":
                response = self._library().post(path, json=body, **limits)
            else:
                response = requests.request(method, f"http://{self.address}{path}", json=body, **limits)
        except requests.RequestException as error:
            raise ProxyUnreachable(
                f"fault proxy at {self.address}: {method} {path}: {_reason(error)}",
                hint="is the target up? `drill status` tells",
            ) from error
        except (ProxyExists, NotFound, InvalidToxic) as error:
            status = {ProxyExists: 409, NotFound: 404, InvalidToxic: 400}[type(error)]
            raise _refused(status, bytes(error.args[0])) from None
        return _decoded(response)

    # the server

    def version(self) -> str:
        return str(self._call("GET", "/version")["version"])

    def kind(self) -> Kind:
        """Told by whether it knows leases."""
        try:
            self._call("GET", "/leases")
        except ProxyRefused as refused:
            if refused.status != 404:
                raise
            return Kind.TOXIPROXY
        return Kind.OURS

    def wait_ready(self, *, within_s: float = 5.0) -> str:
        """The version, as soon as the server answers. Raises ProxyUnreachable when it doesn't in time."""
        end_s = time.monotonic() + within_s
        while True:
            try:
                return self.version()
            except ProxyUnreachable:
                if time.monotonic() >= end_s:
                    raise
            time.sleep(READY_POLL_S)

    def reset(self) -> None:
        """Enables all proxies, removes all toxics and taps, forgets all masks."""
        self._call("POST", "/reset")

    def populate(self, proxies: list[Mapping[str, object]]) -> tuple[ProxyInfo, ...]:
        """`[{"name", "listen", "upstream", "enabled"?}]`. One that stands already as given is left alone."""
        made = self._call("POST", "/populate", proxies)
        return tuple(_proxy(proxy) for proxy in made["proxies"] or ())

    # proxies

    def proxies(self) -> dict[str, ProxyInfo]:
        return {name: _proxy(shown) for name, shown in self._call("GET", "/proxies").items()}

    def proxy(self, name: str) -> ProxyInfo:
        return _proxy(self._call("GET", _path("proxies", name)))

    def set_enabled(self, proxy: str, enabled: bool, *, lease: str = "") -> ProxyInfo:
        """Disabling cuts its connections and refuses new ones; under a lease, until that ends."""
        body: dict[str, object] = {"enabled": enabled}
        if lease:
            body["lease"] = lease
        return _proxy(self._call("POST", _path("proxies", proxy), body))

    def delete_proxy(self, name: str) -> None:
        """Its connections are closed. One that is gone is no error."""
        try:
            self._call("DELETE", _path("proxies", name))
        except ProxyRefused as refused:
            if refused.status != 404:
                raise

    # toxics

    def add_toxic(
        self,
        proxy: str,
        *,
        name: str,
        type: str,
        stream: str = "downstream",
        toxicity: float = 1.0,
        attributes: Mapping[str, int] | None = None,
        lease: str = "",
        per: str = "connection",
    ) -> ToxicInfo:
        body: dict[str, object] = {
            "name": name,
            "type": type,
            "stream": stream,
            "toxicity": toxicity,
            "attributes": dict(attributes or {}),
        }
        if lease:
            body["lease"] = lease
        if per != "connection":
            body["per"] = per  # ours only
        return _toxic(self._call("POST", _path("proxies", proxy, "toxics"), body))

    def update_toxic(
        self, proxy: str, name: str, *, attributes: Mapping[str, int] | None = None, toxicity: float | None = None
    ) -> ToxicInfo:
        body: dict[str, object] = {"attributes": dict(attributes or {})}
        if toxicity is not None:
            body["toxicity"] = toxicity
        return _toxic(self._call("PATCH", _path("proxies", proxy, "toxics", name), body))

    def remove_toxic(self, proxy: str, name: str) -> None:
        self._call("DELETE", _path("proxies", proxy, "toxics", name))

    def affected(self, proxy: str, name: str) -> Affected:
        """Ours only: what the toxic did so far. Raises ProxyRefused (501) where a real Toxiproxy answers."""
        shown = self._call("GET", _path("proxies", proxy, "toxics", name) + "?counters=1")
        if "affected" not in shown:
            raise ProxyRefused(501, "this Toxiproxy doesn't count what its toxics affected")
        return Affected(connections=shown["affected"]["connections"], chunks=shown["affected"]["chunks"])

    # taps

    def add_tap(
        self,
        proxy: str,
        *,
        name: str,
        corrupt: Mapping[str, object],
        stream: str = "downstream",
        method: str = "",
        path: str = "",
        record: str = "$",
        id: str = "id",
        lease: str = "",
    ) -> TapCounters:
        """Damages the records of matching JSON messages by `corrupt` (see harness.corrupt.spec). The first tap of a
        proxy process loads numpy there, which takes some 0.2 s."""
        matching = {"method": method, "path": path}
        does = {"stream": stream, "match": matching, "record": record, "id": id, "corrupt": dict(corrupt)}
        return self.put_tap(proxy, name, does, lease=lease)

    def put_tap(self, proxy: str, name: str, does: Mapping[str, object], *, lease: str = "") -> TapCounters:
        """A tap of any kind, as the API takes it: `does` has all but its name and lease."""
        body = {**does, "name": name}
        if lease:
            body["lease"] = lease
        return _tap(self._call("POST", _path("proxies", proxy, "taps"), body))

    def remove_tap(self, proxy: str, name: str) -> None:
        self._call("DELETE", _path("proxies", proxy, "taps", name))

    def tap_counters(self, proxy: str, name: str) -> TapCounters:
        return _tap(self._call("GET", _path("proxies", proxy, "taps", name)))

    def tap_mask(self, proxy: str, name: str, *, after: int = 0, limit: int = MASK_PAGE) -> MaskPage:
        """Which records were damaged, behind the cursor `after`; also of a tap that is gone, until the reset."""
        shown = self._call("GET", _path("proxies", proxy, "taps", name, "mask") + f"?after={after}&limit={limit}")
        records = tuple(
            MaskRecord(id=record["id"], columns=tuple(record["columns"]), t_ns=record["t_ns"])
            for record in shown["records"]
        )
        return MaskPage(records=records, next=shown["next"], dropped=shown["dropped"])

    # leases

    def renew_lease(self, lease: str, *, ttl_ms: int) -> bool:
        """Creates or renews. True if it is new: had it run before, then it has expired, and what stood under it is
        gone."""
        response = self._call("POST", "/leases", {"id": lease, "ttl_ms": ttl_ms})
        return bool(response["new"])

    def leases(self) -> dict[str, int]:
        """The milliseconds that each has left."""
        return {lease["id"]: lease["left_ms"] for lease in self._call("GET", "/leases")["leases"]}

    def drop_lease(self, lease: str) -> None:
        """Undoes at once all that stands under it. Dropping one that is gone is no error."""
        try:
            self._call("DELETE", _path("leases", lease))
        except ProxyRefused as refused:
            if refused.status != 404:
                raise


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _reason(error: Exception) -> str:
    names = {"ConnectTimeout": "no answer in time", "ReadTimeout": "no answer in time", "ConnectionError": "refused"}
    return names.get(type(error).__name__, type(error).__name__)


def _decoded(response: Response) -> Any:
    if response.status_code >= 400:
        raise _refused(response.status_code, response.content)
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise ProxyUnreachable("what answers there is no fault proxy", hint="look at the address") from None


def _refused(status: int, body: bytes) -> ProxyRefused:
    import json

    try:
        message = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace").strip()[:200] or f"status {status}"
    return ProxyRefused(status, str(message))


def _proxy(shown: Mapping[str, Any]) -> ProxyInfo:
    return ProxyInfo(
        name=shown["name"],
        listen=shown["listen"],
        upstream=shown["upstream"],
        enabled=shown["enabled"],
        toxics=tuple(_toxic(toxic) for toxic in shown["toxics"]),
        lease=shown.get("lease", ""),
    )


def _toxic(shown: Mapping[str, Any]) -> ToxicInfo:
    return ToxicInfo(
        name=shown["name"],
        type=shown["type"],
        stream=shown["stream"],
        toxicity=shown["toxicity"],
        attributes=shown["attributes"],
        lease=shown.get("lease", ""),
        per=shown.get("per", "connection"),
    )


def _tap(shown: Mapping[str, Any]) -> TapCounters:
    counters = shown["counters"]
    return TapCounters(
        messages=counters["messages"],
        messages_damaged=counters["messages_damaged"],
        records=counters["records"],
        records_damaged=counters["records_damaged"],
        mask_next=counters["mask_next"],
        mask_dropped=counters["mask_dropped"],
        passed=counters["passed"],
    )
