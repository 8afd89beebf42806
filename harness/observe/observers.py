"""All observers of one run, started and stopped together."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.contract.words import SliKind
from harness.errors import EnvironmentProblem
from harness.history.events import AnyEvent, Note, Sample
from harness.observe.child import SILENT_S_MAX, Child
from harness.observe.config import (
    COLLECTED,
    GoldenConfig,
    GoldenRequest,
    ProberConfig,
    QualityConfig,
    ReadingConfig,
)
from harness.observe.load import LoadConfig
from harness.observe.pager import PagerSink
from harness.observe.scrape import Scraper
from harness.spec.plan import Plan
from harness.spec.target import TargetSpec

FIRST_S = 10.0
COLLECT_S = 4.0


class Observers:
    """`fill` completes `${...}` of target.yaml for the running instance; `folder` is where target.yaml stands."""

    def __init__(
        self,
        plan: Plan,
        *,
        spec: TargetSpec,
        folder: Path,
        fill: Callable[[str], str],
        logs: Path,
        put: Callable[[AnyEvent], None],
    ) -> None:
        self.plan = plan
        self.spec = spec
        self.folder = folder
        self.fill = fill
        self._put = put
        self._collected = threading.Event()
        self._unread: list[str] = []
        self._stopping = threading.Lock()
        golden = spec.golden
        self._prober = Child(
            "prober",
            "harness.observe.prober",
            log=logs / "prober.log",
            put=self._take,
            silent_s_max=max(SILENT_S_MAX, 3 * golden.every + 2 * golden.timeout) if golden is not None else None,
            must_say=Sample,
        )
        self._load = Child("load", "harness.observe.loadgen", log=logs / "load.log", put=put)
        self._pager: PagerSink | None = None
        self._scraper: Scraper | None = None

    def prepare(self) -> None:
        """Starts what takes long to load; it touches nothing yet."""
        self._prober.spawn()
        if self.plan.load is not None:
            self._load.spawn()

    def start(self) -> None:
        """Begins to observe. Raises `EnvironmentProblem`."""
        self.prepare()
        alerts = self.spec.alerts
        port = (
            int(self.fill(f"${{port.{alerts.sink_port}}}")) if isinstance(alerts.sink_port, str) else alerts.sink_port
        )
        active = self.fill(alerts.active) if alerts.active else None
        self._pager = PagerSink(
            host=self.fill(alerts.sink_host),
            port=port,
            rules=self.plan.alerts.rules,
            active_url=active,
            clock_url=self.fill(alerts.clock) if alerts.clock else None,
            heartbeat=self.plan.alerts.heartbeat,
            put=self._put,
        )
        self._pager.start()
        if self.plan.load is not None:
            self._load.say(msgspec.json.encode(self._load_config()))
        self._prober.say(msgspec.json.encode(self._prober_config()))
        if self.spec.metrics and self.spec.charts:
            self._scraper = Scraper(self.fill(self.spec.metrics), self.spec.charts, put=self._put)
            self._scraper.start()
        deadline = time.monotonic() + FIRST_S
        for child in self._children():
            child.wait_first(deadline - time.monotonic())
        if self._pager.dead_man is not None and not self._pager.dead_man.wait_first(deadline - time.monotonic()):
            rule = self._pager.dead_man.rule
            raise EnvironmentProblem(
                f"no heartbeat ({rule}) came within {FIRST_S:g} s: the target's pages don't reach us"
            )

    def collect(self) -> None:
        """Reads all record readings to their end. Raises `EnvironmentProblem` naming those that could not be."""
        self._collected.clear()
        self._prober.say(b"collect")
        if not self._collected.wait(COLLECT_S):
            raise EnvironmentProblem(f"the record readings could not be read to their end within {COLLECT_S:g} s")
        if self._unread:
            raise EnvironmentProblem(f"could not be read to their end: {', '.join(self._unread)}")

    def stop(self) -> None:
        """Stops all, and returns when all have stopped; idempotent, also side by side."""
        with self._stopping:
            for child in self._children():
                child.stop()
            if self._scraper is not None:
                self._scraper.stop()
            if self._pager is not None:
                self._pager.stop()

    def _children(self) -> tuple[Child, ...]:
        return (self._load, self._prober) if self.plan.load is not None else (self._prober,)

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, Note) and event.text == COLLECTED:
            self._unread = [str(name) for name in event.data.get("unread", ())]
            self._collected.set()
        self._put(event)

    def _load_config(self) -> LoadConfig:
        assert self.plan.load is not None, "asked only where there is load"
        spec = self.spec.load[self.plan.load.name]
        return LoadConfig(
            file=str(self.folder / spec.file),
            base_url=self.fill(f"${{link.{spec.link}.url}}"),
            urls={name: self.fill(url) for name, url in spec.urls.items()},
            rate=self.plan.load.rate,
            seed=self.plan.seed,
        )

    def _prober_config(self) -> ProberConfig:
        readings = tuple(
            ReadingConfig(name=name, url=self.fill(reading.http), id=reading.id, every_s=reading.every)
            for name, reading in self.spec.readings.items()
        )
        return ProberConfig(golden=self._golden_config(), readings=readings, quality=self._quality_config())

    def _golden_config(self) -> GoldenConfig | None:
        golden = self.spec.golden
        if golden is None:
            return None
        raw = json.loads((self.folder / golden.file).read_text())
        slis = self.spec.slis
        latency = slis.get(SliKind.LATENCY)
        fallback = slis.get(SliKind.FALLBACK_SHARE)
        freshness = slis.get(SliKind.FRESHNESS)
        return GoldenConfig(
            base_url=self.fill(f"${{link.{golden.link}.url}}"),
            requests=tuple(msgspec.convert(item, GoldenRequest) for item in raw),
            every_s=golden.every,
            timeout_s=golden.timeout,
            kinds=tuple(str(kind) for kind in slis),
            latency_max_s=latency.objective.max if latency is not None else None,
            fallback_field=fallback.field if fallback is not None else None,
            freshness_field=freshness.field if freshness is not None else None,
        )

    def _quality_config(self) -> QualityConfig | None:
        quality = self.spec.quality
        sli = self.spec.slis.get(SliKind.DECISION_QUALITY)
        if quality is None or sli is None:
            return None
        return QualityConfig(
            decisions=quality.decisions,
            truth=quality.truth,
            decision=quality.decision,
            positive=quality.positive,
            label=quality.label,
            synthetic=quality.synthetic,
            last=sli.last,
            id=self.spec.readings[quality.decisions].id,
        )
