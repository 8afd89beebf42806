"""What an instance does by its description alone, whatever keeps it: the part of `Target` that is the same for every driver.

A driver's own class builds on it and adds life, points and looks. Rejected: a function a method beside `Operations`, which each
driver then spells out again with the same words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.contract.probe import PLAIN, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Action, Observation
from harness.errors import UsageError
from harness.proxy.client import ProxyClient
from harness.spec.target import TargetSpec
from harness.target import asking, calls, http, probing, readings, snapshots
from harness.target.declared import DeclaredPoints
from harness.target.held import Lock
from harness.target.interpolate import fill, fill_url
from harness.target.operations import Operations

PROBE_S = 2.0


class DescribedTarget(ABC):
    """`folder` is where target.yaml stands, `home` what is remembered of it; `act` and `observe` are the built-in ones."""

    def __init__(
        self,
        spec: TargetSpec,
        *,
        instance: str,
        folder: Path,
        home: Path,
        act: Callable[[Action, Mapping[str, Json]], dict[str, Json]],
        observe: Callable[[Observation, Mapping[str, Json]], dict[str, Json]],
    ) -> None:
        self._spec, self._instance = spec, instance
        self.folder, self.home = folder, home
        self.lock = Lock(home, instance)
        self.declared = DeclaredPoints(spec, names=self.names)
        """The points that are the pipeline's own."""
        self.operations = Operations(spec, folder=folder, names=self.names, act=act, observe=observe)

    @property
    def spec(self) -> TargetSpec:
        return self._spec

    @property
    def instance(self) -> str:
        return self._instance

    # --- what a driver says -------------------------------------------------------------------------------------------

    @abstractmethod
    def names(self) -> Mapping[str, Json]:
        """What `${...}` may name."""

    @abstractmethod
    def proxy_client(self) -> ProxyClient:
        """Of the fault proxy's API. Raises `EnvironmentProblem` where there is none."""

    def proxy_name(self, link: str) -> str:
        """What the link's proxy is called."""
        return self._spec.links[link].proxy or link

    # --- use ----------------------------------------------------------------------------------------------------------

    def acquire(self, run: str) -> None:
        """Takes the instance for one run. Raises `TargetBusyError` naming the run that has it."""
        self.lock.acquire(run)

    def release(self) -> None:
        """Lets the next run have it."""
        self.lock.release()

    # --- readings -----------------------------------------------------------------------------------------------------

    def probe_from_here(self, link: str, *, ask: ProbeAsk = PLAIN) -> ProbeReading:
        """One request through a link, from this host. Raises `UsageError` for one that isn't declared."""
        self.require_link(link)
        where = urlsplit(str(self.names()[f"link.{link}.url"]))
        request = probing.request_of(self._spec.links[link], ask)
        return probing.told(asking.ask(where.hostname or "", where.port or 80, limit_s=PROBE_S, **request))

    def require_link(self, link: str) -> None:
        """Raises `UsageError` for one that isn't declared."""
        if link not in self._spec.links:
            raise UsageError(f"unknown link '{link}'. Known: {', '.join(self._spec.links) or 'none'}")

    def models_of(self, service: str) -> tuple[str, ...]:
        """The models of which this service is a replica."""
        return self.operations.models_of(service)

    def served_version(self, service: str, model: str) -> str | None:
        return self.operations.served_version(service, model)

    def alias(self, model: str) -> str:
        """The version that the model's alias names."""
        alias = self.operations.require_model(model).alias
        return str(self.declared.get(Point(kind=PointKind.ALIAS, where=f"{model}/{alias}")))

    def make_variant(self, model: str, variant: str) -> str:
        return self.operations.make_variant(model, variant)

    def read(self, reading: str, *, after: int, limit: int = 5000) -> tuple[list[dict[str, Any]], int]:
        return readings.read(self._spec.readings, reading, self.names(), after=after, limit=limit)

    def damage_mask(self, link: str, tap: str, *, after: int) -> tuple[list[tuple[str, list[str]]], int]:
        page = self.proxy_client().tap_mask(self.proxy_name(link), tap, after=after)
        return [(str(hit.id), list(hit.columns)) for hit in page.records if hit.id is not None], page.next

    def config(self, service: str) -> dict[str, Json]:
        """A service's settings."""
        return calls.as_object(http.ask("GET", self.declared.config_url(service), timeout_s=snapshots.ASK_S))

    # --- operations ---------------------------------------------------------------------------------------------------

    def act(self, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
        return self.operations.act(action, arguments)

    def observe(self, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
        return self.operations.observe(observation, arguments)

    # --- names --------------------------------------------------------------------------------------------------------

    def endpoint(self, text: str) -> str:
        return fill_url(text, self.names()) if "://" in text else fill(text, self.names())

    def redacted(self) -> dict[str, Json]:
        return calls.redacted(self._spec)
