"""A Toxiproxy that isn't the harness's own: what a target does there, and what it leaves alone.

It may serve others too, so it is never reset as a whole: only proxies of this target's links are touched, by name. It has
no leases, so nothing that is set there goes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.errors import EnvironmentProblem, HarnessError
from harness.plugin import LinkWay
from harness.proxy.client import Kind, ProxyClient
from harness.spec.target import ProxySpec, TargetSpec

TOXICS = ("latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "")
"""All that a Toxiproxy 2 has, and the cut."""
MARKS = ("fault-", "parted-")
"""How names of toxics begin that were set by a run."""


def of(spec: TargetSpec) -> ProxySpec | None:
    """Where the target leads through a real Toxiproxy."""
    return spec.proxy if spec.proxy is not None and spec.proxy.kind == "toxiproxy" else None


def names_of(spec: TargetSpec) -> dict[str, str]:
    """Link -> what its proxy is called there."""
    return {name: link.proxy or name for name, link in spec.links.items()}


def way_of(where: str) -> LinkWay:
    """For planning: what a link there can have, and what heals it."""
    return LinkWay(
        f"a Toxiproxy ({where}), which has no leases: should the run die, only its reaper or `drill heal` takes back what"
        " was set",
        toxics=TOXICS,
    )


def require_kind(client: ProxyClient, declared: ProxySpec | None) -> None:
    """Raises `EnvironmentProblem` where a real Toxiproxy answers, and the description reckons with leases and taps."""
    leased = declared is None or declared.kind == "mldrill"
    if leased and client.kind() is Kind.TOXIPROXY:
        raise EnvironmentProblem(
            f"at {client.address} a Toxiproxy {client.version()} answers, which has neither leases nor taps",
            hint="say so in target.yaml, and what needs them is refused beforehand: proxy: {kind: toxiproxy}",
        )


def answers(client: ProxyClient) -> bool:
    """Whether anything answers there."""
    try:
        client.version()
    except HarnessError:
        return False
    return True


def require(client: ProxyClient, names: Iterable[str]) -> None:
    """Raises `EnvironmentProblem` where one of the proxies isn't there."""
    standing = client.proxies()
    lost = sorted(name for name in names if name not in standing)
    if lost:
        raise EnvironmentProblem(
            f"the Toxiproxy at {client.address} has no proxy {', '.join(lost)}: was it restarted? It forgets all then"
        )


def stand(client: ProxyClient, proxies: Mapping[str, tuple[str, str]]) -> None:
    """Has the proxies (name -> listen, upstream) there; those that stand so already are left alone."""
    wanted = [{"name": name, "listen": at, "upstream": to} for name, (at, to) in proxies.items()]
    client.populate([{**one, "enabled": True} for one in wanted])


def clear(client: ProxyClient, names: Iterable[str]) -> None:
    """Takes all that a run sets out of these proxies."""
    standing = client.proxies()
    for name in names:
        found = standing.get(name)
        if found is None:
            continue
        for toxic in found.toxics:
            if toxic.name.startswith(MARKS):
                client.remove_toxic(name, toxic.name)
        if not found.enabled:
            client.set_enabled(name, True)


def remove(client: ProxyClient, names: Iterable[str]) -> None:
    """They are gone."""
    for name in names:
        client.delete_proxy(name)


def left(client: ProxyClient, names: Iterable[str]) -> tuple[str, ...]:
    """What stands in them by a run: `proxy/toxic`, or the proxy's name where it is cut."""
    standing = client.proxies()
    found: list[str] = []
    for name in names:
        if name in standing:
            found += [f"{name}/{toxic.name}" for toxic in standing[name].toxics if toxic.name.startswith(MARKS)]
            found += [] if standing[name].enabled else [name]
    return tuple(found)
