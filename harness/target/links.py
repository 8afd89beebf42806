"""The points of a link behind the fault proxy: toxics, taps, up or down. The same for every driver that has the proxy.

What is set stands under a lease, which `renew` keeps: a proxy whose controller has died takes it all back by itself. A real
Toxiproxy has no leases: there it stands until somebody takes it back, and `renew` only looks whether the proxies are still
those that were broken, because one that was restarted has forgotten all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from harness.contract.undo import Json, Point, PointKind
from harness.errors import UsageError
from harness.proxy.client import ProxyClient, ProxyInfo, ToxicInfo
from harness.spec.target import TargetSpec
from harness.target import borrowed, http
from harness.target.restoring import normal

CALL_S = 3.0
KINDS = frozenset({PointKind.TOXIC, PointKind.LINK_UP, PointKind.TAP})


class LinkPoints:
    """`proxy` gives the client each time, because a proxy in a container may have moved. `names`: what a link's proxy is called
    there, where that isn't the link's own name."""

    def __init__(
        self,
        spec: TargetSpec,
        *,
        proxy: Callable[[], ProxyClient],
        lease: str,
        lease_s: float,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._spec, self._proxy = spec, proxy
        self._names = dict(names) if names is not None else {name: name for name in spec.links}
        leased = spec.proxy is None or spec.proxy.kind == "mldrill"
        self._lease, self._lease_s = (lease if leased else ""), lease_s

    def get(self, point: Point) -> Json:
        """Raises `UsageError` for a place that isn't there."""
        match point.kind:
            case PointKind.TOXIC:
                return self._toxic(*self._on_link(point))
            case PointKind.TAP:
                return self._tap(*self._on_link(point))
        return self._link(self._name(point.where)).enabled

    def set(self, point: Point, value: Json) -> None:
        """Idempotent."""
        match point.kind:
            case PointKind.TOXIC:
                self._set_toxic(*self._on_link(point), value)
            case PointKind.TAP:
                self._set_tap(*self._on_link(point), value)
            case _:
                self._set_link(self._name(point.where), bool(value))

    def renew(self) -> None:
        """Renews the lease. Raises `EnvironmentProblem` where there is none, and a proxy is gone."""
        if self._lease:
            self._proxy().renew_lease(self._lease, ttl_ms=int(self._lease_s * 1000))
        else:
            borrowed.require(self._proxy(), self._names.values())

    def _name(self, where: str) -> str:
        if where not in self._spec.links:
            raise UsageError(f"unknown link '{where}'. Known: {', '.join(self._spec.links) or 'none'}")
        return where

    def _on_link(self, point: Point) -> tuple[str, str]:
        link, slash, name = point.where.partition("/")
        if not (slash and name):
            raise UsageError(f"'{point.where}' is no place of a {point.kind}: write link/name")
        return self._name(link), name

    def _link(self, link: str) -> ProxyInfo:
        return self._proxy().proxy(self._names[link])

    def _toxic(self, link: str, name: str) -> Json:
        for toxic in self._link(link).toxics:
            if toxic.name == name:
                return _shown(toxic)
        return None

    def _set_toxic(self, link: str, name: str, value: Json) -> None:
        if self._toxic(link, name) is not None:
            if value is not None and normal(PointKind.TOXIC, self._toxic(link, name)) == normal(PointKind.TOXIC, value):
                return
            self._proxy().remove_toxic(self._names[link], name)
        if value is not None:
            self.renew()
            self._proxy().add_toxic(
                self._names[link],
                name=name,
                type=value["type"],
                stream=value.get("stream", "downstream"),
                toxicity=value.get("toxicity", 1.0),
                attributes=value.get("attributes") or {},
                per=value.get("per", "connection"),
                lease=self._lease,
            )

    def _set_link(self, link: str, up: bool) -> None:
        if self._link(link).enabled == up:
            return
        if not up:
            self.renew()
        self._proxy().set_enabled(self._names[link], up, lease="" if up else self._lease)

    def _tap(self, link: str, name: str) -> Json:
        if not self._lease:
            raise UsageError(f"link '{link}' leads through a Toxiproxy, which has no taps")
        url = f"http://{self._proxy().address}/proxies/{quote(self._names[link], safe='')}/taps"
        taps = http.ask("GET", url, timeout_s=CALL_S)
        for tap in taps:
            if tap["name"] == name:
                return {key: item for key, item in tap.items() if key not in ("name", "counters", "lease")}
        return None

    def _set_tap(self, link: str, name: str, value: Json) -> None:
        present = self._tap(link, name)
        if present is not None:
            if value is not None and normal(PointKind.TAP, present) == normal(PointKind.TAP, value):
                return
            self._proxy().remove_tap(self._names[link], name)
        if value is not None:
            self.renew()
            self._proxy().put_tap(self._names[link], name, normal(PointKind.TAP, value), lease=self._lease)


def _shown(toxic: ToxicInfo) -> dict[str, Json]:
    return {
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": float(toxic.toxicity),
        "attributes": dict(toxic.attributes),
        **({"per": toxic.per} if toxic.per != "connection" else {}),
    }
