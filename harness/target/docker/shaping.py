"""Links without a fault proxy: the kernel's own traffic control in the network of the container that sends.

`tc` is run in a container of ours that lives for a moment and shares that network, with NET_ADMIN and nothing else. Below a root
`htb` with a handle of ours, each toxic has a class, and a filter that leads there whatever goes to the other end's address.
Bandwidth is the class's rate, and needs no more; latency, jitter and silence are a `netem` below the class, which not every
kernel has.
Requests are shaped where the caller sends, answers where the called one does.

What stands is read from the kernel each time. A container that starts anew has a new network, and nothing of ours in it. There
is no lease: what is set stays until it is taken back. A root queue of somebody else's is never replaced: `tc` refuses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import Any, NamedTuple

from harness.contract.undo import Json, Point, PointKind
from harness.errors import EnvironmentProblem, UsageError
from harness.plugin import LinkWay
from harness.spec.target import TargetSpec
from harness.target.docker.daemon import Daemon, Missing, asking
from harness.target.docker.networks import AROUND
from harness.target.docker.selection import INSTANCE, Found, Selection, docker_of

OUTSIDE = "outside"
ROOT = "7d11"
MINORS = 0xFFF0
UNLIMITED = "10gbit"
RUN_S_MAX = 10
KB_A_SECOND_MAX = 100_000
"""Above, `tc` prints rates rounded, so that what stands couldn't be told from somebody's repair."""
MS = 1000
TOXICS = ("latency", "bandwidth", "timeout")
POSSIBLE = "latency (with jitter), bandwidth, and timeout of all connections for ever"
CLASS = re.compile(rf"class htb {ROOT}:([0-9a-f]+) .*?rate (\d+)([KMG]?)bit")
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
DEVICES = "ip -o link | sed 's/^[0-9]*: *\\([^:@]*\\).*/\\1/'"
READ = f'tc -j qdisc show && for dev in $({DEVICES}); do tc class show dev "$dev"; done'
ADD = f"""
set -e
dev=$(ip -o route get "$1" | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'); address=$1; minor=$2; rate=$3; shift 3
tc qdisc show dev "$dev" | grep -q '^qdisc htb {ROOT}: root' || tc qdisc add dev "$dev" root handle {ROOT}: htb
tc class add dev "$dev" parent {ROOT}: classid {ROOT}:$minor htb rate $rate burst 16k
if [ $# -gt 0 ]; then tc qdisc add dev "$dev" parent {ROOT}:$minor netem "$@"; fi
tc filter add dev "$dev" parent {ROOT}: protocol ip prio $((0x$minor)) u32 match ip dst "$address/32" flowid {ROOT}:$minor
"""
REMOVE = f"""
for dev in $({DEVICES}); do
  tc qdisc show dev "$dev" | grep -q '^qdisc htb {ROOT}: root' || continue
  tc filter del dev "$dev" parent {ROOT}: prio $((0x$1)) 2>/dev/null
  tc qdisc del dev "$dev" parent {ROOT}:$1 2>/dev/null
  tc class del dev "$dev" classid {ROOT}:$1 2>/dev/null
  tc class show dev "$dev" | grep -q '^class htb {ROOT}:' || tc qdisc del dev "$dev" root
done
:
"""
CLEAR = f"""
for dev in $({DEVICES}); do
  if tc qdisc show dev "$dev" | grep -q '^qdisc htb {ROOT}: root'; then tc qdisc del dev "$dev" root || exit 1; fi
done
"""
PROBE = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]


def way_of(spec: TargetSpec, link: str) -> LinkWay:
    """For planning; whether the kernel has netem shows when a fault is prepared."""
    found = spec.links[link]
    if OUTSIDE in (found.from_, found.to):
        return LinkWay("no way: it comes from outside, and there is no fault proxy (docker.links: tc)", toxics=())
    return LinkWay(
        f"tc in the network of '{found.to}' for answers, of '{found.from_}' for requests, because there is no fault proxy"
        " on the link (docker.links: tc); latency and silence need netem in the kernel, which is tried before anything is done",
        toxics=TOXICS,
    )


class Shaped(NamedTuple):
    """What a value comes to: the rate of its class, and netem's arguments, if it needs any."""

    rate: str
    netem: tuple[str, ...] = ()


def shaped(value: Json, *, link: str) -> Shaped:
    """Raises `UsageError` for what can't be had without a proxy."""
    kind = value.get("type") if isinstance(value, dict) else None
    attributes = (value.get("attributes") or {}) if isinstance(value, dict) else {}
    whole = kind is not None and float(value.get("toxicity", 1.0)) == 1.0
    if kind == "latency" and whole:
        jitter = [f"{attributes['jitter']}ms"] if attributes.get("jitter") else []
        return Shaped(UNLIMITED, ("delay", f"{attributes.get('latency', 0)}ms", *jitter))
    if kind == "bandwidth" and whole and 0 < attributes.get("rate", 0) <= KB_A_SECOND_MAX:
        return Shaped(f"{attributes['rate'] * 8}kbit")
    if kind == "timeout" and whole and not attributes.get("timeout"):
        return Shaped(UNLIMITED, ("loss", "100%"))
    raise UsageError(
        f"link '{link}' has no fault proxy, and tc can't do this there: {value!r}. Possible: {POSSIBLE}; bandwidth up to"
        f" {KB_A_SECOND_MAX} KB/s",
        hint="A fault proxy on the link can do all: docker.links: proxy",
    )


def value_of(out: str, *, minor: str, stream: str) -> Json:
    """What stands in a class, of what `READ` said; None for nothing."""
    listed, _, classes = out.partition("\n")
    rates = {found[1]: int(found[2]) * UNITS[found[3]] for found in CLASS.finditer(classes)}
    if minor not in rates:
        return None
    parent = f"{ROOT}:{minor}"
    toxic: dict[str, Json] = {"type": "bandwidth", "stream": stream, "toxicity": 1.0}
    for one in json.loads(listed):
        if one.get("kind") == "netem" and one.get("parent") == parent:
            options = one.get("options") or {}
            delay = options.get("delay") or {}
            if not delay and (options.get("loss-random") or {}).get("loss"):
                return toxic | {"type": "timeout", "attributes": {"timeout": 0}}
            told = {"latency": delay.get("delay", 0), "jitter": delay.get("jitter", 0)}
            return toxic | {"type": "latency", "attributes": {key: round(by * MS) for key, by in told.items()}}
    return toxic | {"attributes": {"rate": rates[minor] // 8000}}


def minor_of(where: str) -> str:
    """The class of a toxic, in hexadecimal."""
    return format(1 + int.from_bytes(hashlib.sha256(where.encode()).digest()[:4], "big") % MINORS, "x")


class Shaping:
    """The point `toxic` of the links of one instance, by `tc`."""

    def __init__(self, spec: TargetSpec, *, daemon: Daemon, selection: Selection, instance: str) -> None:
        self._spec, self._daemon, self._selection, self._instance = spec, daemon, selection, instance

    def get(self, point: Point) -> Json:
        """Raises `UsageError` for a place that isn't there, or a kind that needs the proxy."""
        link = self._link_of(point)
        for stream in ("upstream", "downstream"):
            sender, _ = self._ends(link, stream)
            if sender.state == "running":
                found = value_of(self._tc(sender, READ), minor=minor_of(point.where), stream=stream)
                if found is not None:
                    return found
        return None

    def set(self, point: Point, value: Json) -> None:
        """Idempotent. Raises `UsageError`, `EnvironmentProblem`."""
        link = self._link_of(point)
        if value is not None:
            wanted = shaped(value, link=link)
        minor = minor_of(point.where)
        for stream in ("upstream", "downstream"):
            sender, _ = self._ends(link, stream)
            if sender.state == "running":
                self._allowed(link, sender)
                self._tc(sender, REMOVE, minor)
        if value is None:
            return
        sender, receiver = self._ends(link, value.get("stream", "downstream"))
        try:
            self._tc(sender, ADD, self._address(link, sender, receiver), minor, wanted.rate, *wanted.netem)
        except EnvironmentProblem:
            with contextlib.suppress(EnvironmentProblem):  # half of it is worse than nothing; the first words are told
                self._tc(sender, REMOVE, minor)
            raise

    def require(self, point: Point, value: Json) -> None:
        """Asks beforehand what `set` would be refused. Raises `UsageError`, `EnvironmentProblem` with the kernel's own word."""
        link = self._link_of(point)
        wanted = shaped(value, link=link)
        sender, receiver = self._ends(link, value.get("stream", "downstream"))
        self._allowed(link, sender)
        self._address(link, sender, receiver)
        if wanted.netem and (why := lacks_netem(self._daemon, self._image, self._labels())):
            raise EnvironmentProblem(
                f"this kernel has no netem: {why}; and link '{link}' has no fault proxy (docker.links: tc)",
                hint="Only bandwidth can be had so; a fault proxy on the link can do all: docker.links: proxy",
            )

    def clear(self) -> None:
        """Takes all of ours out of the network of every service that may be touched."""
        for service in self._spec.services:
            found = self._selection.find(service)
            if found.state == "running" and self._selection.allowed(found):
                self._tc(found, CLEAR)

    # --- where --------------------------------------------------------------------------------------------------------

    def _link_of(self, point: Point) -> str:
        link, slash, name = point.where.partition("/")
        if link not in self._spec.links:
            raise UsageError(f"unknown link '{link}'. Known: {', '.join(self._spec.links) or 'none'}")
        if point.kind is not PointKind.TOXIC:
            raise UsageError(f"link '{link}' has no fault proxy, so it has no {point.kind}. Possible: {POSSIBLE}")
        if not (slash and name):
            raise UsageError(f"'{point.where}' is no place of a {point.kind}: write link/name")
        if OUTSIDE in (self._spec.links[link].from_, self._spec.links[link].to):
            raise UsageError(f"link '{link}' comes from outside: without a fault proxy there is nowhere to shape it")
        return link

    def _ends(self, link: str, stream: str) -> tuple[Found, Found]:
        """Who sends, and to whom."""
        found = self._spec.links[link]
        caller, called = self._selection.find(found.from_), self._selection.find(found.to)
        return (caller, called) if stream == "upstream" else (called, caller)

    def _allowed(self, link: str, sender: Found) -> None:
        found = self._spec.links[link]
        service = next(name for name in (found.from_, found.to) if self._selection.find(name).id == sender.id)
        self._selection.require_allowed(sender, service)

    def _address(self, link: str, sender: Found, receiver: Found) -> str:
        """Of the receiver, in the one network that joins the two."""
        networks = [self._daemon.inspect(one.id)["NetworkSettings"]["Networks"] or {} for one in (sender, receiver)]
        shared = sorted(set(networks[0]) & set(networks[1]))
        address = networks[1][shared[0]].get("IPAddress") if len(shared) == 1 else ""
        if not address:
            raise EnvironmentProblem(
                f"link '{link}': {len(shared)} networks join {sender.name} and {receiver.name}; to shape it, it must be one,"
                " with an address in it"
            )
        return str(address)

    # --- tc -----------------------------------------------------------------------------------------------------------

    @property
    def _image(self) -> str:
        return docker_of(self._spec).tc_image

    def _labels(self) -> dict[str, str]:
        return {INSTANCE: self._instance, AROUND: self._selection.project}

    def _tc(self, where: Found, script: str, *arguments: str) -> str:
        command = ["sh", "-c", script, "sh", *arguments]
        code, out = run_beside(
            self._daemon, self._image, command, network=f"container:{where.id}", labels=self._labels()
        )
        if code != 0:
            raise EnvironmentProblem(f"tc in the network of {where.name}: {out.strip()[:300] or f'exit code {code}'}")
        return out


def lacks_netem(daemon: Daemon, image: str, labels: dict[str, str]) -> str:
    """The kernel's own word, tried in a network of nobody's; empty where it has netem."""
    code, out = run_beside(daemon, image, PROBE, network="none", labels=labels)
    return "" if code == 0 else out.strip()[:200] or f"exit code {code}"


def run_beside(
    daemon: Daemon, image: str, command: list[str], *, network: str, labels: dict[str, str]
) -> tuple[int, str]:
    """(exit code, output) of a container that lives for a moment. Raises `EnvironmentProblem` where there is no such image."""
    api: Any = daemon.api
    host = api.create_host_config(network_mode=network, cap_drop=["ALL"], cap_add=["NET_ADMIN"])
    try:
        with asking(f"run {command[0]} from {image}"):
            made = api.create_container(
                image, command[1:], entrypoint=command[:1], user="0", labels=labels, host_config=host
            )["Id"]
    except Missing as missing:
        raise EnvironmentProblem(
            f"{missing.message}; links without a fault proxy are shaped from an image with iproute2",
            hint="docker.tc_image names it; the reference image has it",
        ) from None
    try:
        with asking(f"run {command[0]} from {image}"):
            api.start(made)
            code = int(api.wait(made, timeout=RUN_S_MAX)["StatusCode"])
            return code, api.logs(made).decode(errors="replace")
    finally:
        with contextlib.suppress(Missing), asking("remove the container of tc"):
            api.remove_container(made, force=True, v=True)
