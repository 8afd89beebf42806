"""What a description and a driver's abilities come to, for planning. Pure: nothing is started and nobody is asked.

A description may narrow what its driver can, never widen it; what it says nothing of (links, models, settings) can't be done.
"""

from __future__ import annotations

import hashlib

import msgspec

from harness.contract.words import Capability
from harness.errors import UnsupportedError
from harness.plugin import Inventory
from harness.spec.target import TargetSpec
from harness.target import probing


def inventory_of(spec: TargetSpec, *, driver: str, can: frozenset[Capability]) -> Inventory:
    """Raises `UnsupportedError` when the description wants what this driver hasn't got."""
    wanted = frozenset(spec.capabilities) if spec.capabilities is not None else can
    if wanted - can:
        raise UnsupportedError(
            f"target '{spec.target}': the {driver} driver has no {', '.join(sorted(wanted - can))};"
            f" it can {', '.join(sorted(can))}"
        )
    lacking = set()
    if not spec.links:
        lacking |= {Capability.LINK, Capability.TAP}
    if not spec.models:
        lacking.add(Capability.MODEL)
    if all(service.config is None for service in spec.services.values()):
        lacking.add(Capability.CONFIG)
    return Inventory(
        driver=driver,
        capabilities=wanted - lacking,
        services={name: service.role for name, service in spec.services.items()},
        links={name: (link.from_, link.to) for name, link in spec.links.items()},
        models={name: tuple(model.variants) for name, model in spec.models.items()},
        actions=frozenset(spec.actions),
        observations=frozenset(spec.observations),
        digest=digest(spec),
        probes={name: probing.probe_of(link) for name, link in spec.links.items()},
    )


def digest(spec: TargetSpec) -> str:
    """SHA-256 of what the description says, the same for any order of keys."""
    written = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return hashlib.sha256(msgspec.json.encode(written, order="sorted")).hexdigest()
