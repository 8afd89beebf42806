"""The pager sink: where the target's own monitoring sends its alerts, as Alertmanager webhooks (version 4).

The moment that counts is when a request came in, so it is stamped before anything is parsed or asked. When it fired
(`startsAt`) and when its condition became true (`activeAt`, asked of the target's rules API) are both by the clock of whoever
evaluates the rules, since Alertmanager passes `startsAt` on: one pair of that clock and ours converts both, with its error, so
that between them lies only what their texts cut off (Alertmanager's has milliseconds). Where that clock can't be asked it is
taken for our wall clock, and a note says so.

An alert that had begun to fire before this sink listened is no news of this run: Alertmanager tries for minutes to deliver what
nobody took, and tells again what fires on. It is noted, and pages nobody. This is only said by the monitoring's own clock.

The rule that always fires is no alert but a heartbeat (`harness.observe.heartbeat`), also in a flood.

Junk is answered 400 and changes nothing. A flood is cut off after `ALERTS_RUN_MAX`, and the history says so.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import urllib3

from harness.clock import now_ns
from harness.contract.words import Severity
from harness.errors import EnvironmentProblem
from harness.history.events import AlertReceived, AnyEvent, Note
from harness.observe.asking import NoAnswerError, ask
from harness.observe.clocks import Converter, Shown, SourceClock, asked_at, converter, host_pair
from harness.observe.heartbeat import DeadMan
from harness.observe.webhooks import FullError, WebhookServer
from harness.spec.plan import PlannedHeartbeat, PlannedRule

ALERTS_MAX = 200
"""In one webhook."""
ALERTS_RUN_MAX = 5_000
LABELS_MAX = 50
TEXT_MAX = 500
ACTIVE_TIMEOUT_S = 0.25
ACTIVE_BYTES_MAX = 4 << 20
MONITORING = "monitoring"
"""The clock of whoever evaluates the rules, as a source of clock pairs."""
READ_NS = 1_000
"""What reading a time from its text cuts off, however many digits it has."""

FRACTION = re.compile(r"\.(\d+)")

Active = Mapping[frozenset[tuple[str, str]], str]
"""`activeAt` of a series, by its labels."""


class PagerSink:
    """Listens on `host`, loopback unless containers page; `put` takes the events.

    `active_url` gives Prometheus' `/api/v1/alerts`, if there is one; `clock_url` what time the monitoring has.
    """

    def __init__(
        self,
        *,
        port: int,
        rules: tuple[PlannedRule, ...],
        active_url: str | None,
        put: Callable[[AnyEvent], None],
        host: str = "127.0.0.1",
        clock_url: str | None = None,
        heartbeat: PlannedHeartbeat | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.rules = {rule.name: rule for rule in rules}
        self.active_url = active_url
        self.put = put
        asked = asked_at(clock_url, active_url)
        self._clock = SourceClock(MONITORING, asked, put=put) if asked is not None else None
        self.dead_man = DeadMan(heartbeat, put=put) if heartbeat is not None else None
        self._wall_said = False
        self._began_ns: int | None = None
        self._pool = urllib3.PoolManager(maxsize=4)
        self._server: WebhookServer | None = None
        self._counting = threading.Lock()
        self._taken = 0
        self._dropped = 0

    def start(self) -> None:
        """Begins to listen. Raises `EnvironmentProblem` where the port is taken or the address isn't ours."""
        try:
            self._server = WebhookServer(self.host, self.port, self.receive)
        except OSError as error:
            raise EnvironmentProblem(
                f"the pager sink can't listen on {self.host}:{self.port}: {error.strerror}"
            ) from error
        self.port = self._server.server_address[1]
        self._began_ns = now_ns()
        if self._clock is not None:
            self._clock.start()
        if self.dead_man is not None:
            self.dead_man.start()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="pager").start()

    def stop(self) -> None:
        """Idempotent."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if self._clock is not None:
            self._clock.stop()
        if self.dead_man is not None:
            self.dead_man.stop()
        if self._dropped:
            words = f"{self._dropped} alerts were dropped: more came than the pager takes in"
            self.put(Note(t_ns=now_ns(), src="pager", text=words, data={"dropped": self._dropped}))

    def receive(self, body: bytes, received_ns: int) -> int:
        """Takes one webhook in; gives how many alerts it held. Raises ValueError for what is none, `FullError` in a flood."""
        data = json.loads(body)
        alerts = data.get("alerts") if isinstance(data, dict) else None
        if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
            raise ValueError("no Alertmanager webhook: `alerts` must be a list of objects")
        alerts = self._without_heartbeats(alerts, received_ns)
        kept = alerts[: self._admitted(len(alerts))]
        if alerts and not kept:
            raise FullError
        active = self._active_times() if any(alert.get("status") == "firing" for alert in kept) else {}
        events = [self._event(alert, received_ns, active=active) for alert in kept]
        for event in events:
            self.put(event if not self._is_old(event) else _belated(event))
        return len(events)

    def _is_old(self, event: AlertReceived) -> bool:
        if self._began_ns is None or event.status != "firing" or event.clock != MONITORING or event.starts_ns is None:
            return False
        return event.starts_ns + event.clock_error_ns < self._began_ns

    def _without_heartbeats(self, alerts: list[Any], received_ns: int) -> list[Any]:
        """The alerts; what tells only that they'd arrive is noted elsewhere. A heartbeat that ends is none."""
        dead_man = self.dead_man
        if dead_man is None:
            return alerts
        beats = [alert for alert in alerts if _texts(alert.get("labels")).get("alertname") == dead_man.rule]
        if any(alert.get("status") == "firing" for alert in beats):
            dead_man.beat(received_ns)
        return [alert for alert in alerts if alert not in beats] if beats else alerts

    def _admitted(self, offered: int) -> int:
        """How many of these are taken in."""
        with self._counting:
            admitted = max(0, min(offered, ALERTS_MAX, ALERTS_RUN_MAX - self._taken))
            self._taken += admitted
            self._dropped += offered - admitted
        return admitted

    def _event(self, alert: Mapping[str, Any], received_ns: int, *, active: Active) -> AlertReceived:
        raw = alert.get("labels")
        labels = _texts(raw)
        name = labels.get("alertname", "")
        status = alert.get("status")
        if not name or status not in ("firing", "resolved"):
            raise ValueError("an alert needs labels.alertname, and a status of firing or resolved")
        rule = self.rules.get(name)
        page = rule.severity is Severity.PAGE if rule is not None else labels.get("severity") == Severity.PAGE
        annotations = alert.get("annotations")
        summary = annotations.get("summary", "") if isinstance(annotations, dict) else ""
        starts, became_true = _told(alert.get("startsAt")), _told(_active_at(active, labels))
        known = [told for told in (starts, became_true) if told is not None]
        by = self._converter(min(known).wall_ns) if known else Converter("", 0, 0)
        cut_ns = max((told.cut_ns for told in known), default=0)
        if starts is not None and became_true is not None and 0 < became_true.wall_ns - starts.wall_ns < cut_ns:
            starts = became_true  # none fires before its condition is true: only its text was cut
        return AlertReceived(
            t_ns=received_ns,
            src="pager",
            name=name,
            status=status,
            severity=Severity.PAGE if page else Severity.TICKET,
            layer=str(rule.layer) if rule is not None else labels.get("layer", ""),
            labels=labels,
            summary=str(summary)[:TEXT_MAX],
            fingerprint=str(alert.get("fingerprint", ""))[:TEXT_MAX],
            starts_ns=None if starts is None else starts.wall_ns + by.offset_ns,
            active_ns=None if became_true is None else became_true.wall_ns + by.offset_ns,
            clock_error_ns=by.error_ns + cut_ns,
            cut_ns=cut_ns,
            clock=by.source,
        )

    def _converter(self, wall_ns: int) -> Converter:
        """For times of the monitoring around `wall_ns`; by this host's wall clock where its own can't be asked."""
        by = self._clock.converter(wall_ns) if self._clock is not None else None
        if by is not None:
            return by
        pair = host_pair()
        self.put(pair)
        if not self._wall_said:
            self._wall_said = True
            why = "could not be asked" if self._clock is not None else "isn't declared (alerts.clock)"
            words = f"the monitoring's clock {why}: its times are taken as if its clock were this host's wall clock"
            self.put(Note(t_ns=now_ns(), src="pager", text=words))
        return converter(pair, wall_ns=wall_ns)

    def _active_times(self) -> Active:
        """`activeAt` of every series, as the target's rules API has it now; empty where it can't be asked."""
        if self.active_url is None:
            return {}
        try:
            answer = ask(self._pool, "GET", self.active_url, timeout_s=ACTIVE_TIMEOUT_S, bytes_max=ACTIVE_BYTES_MAX)
            alerts = json.loads(answer.body)["data"]["alerts"]
            return {frozenset(_texts(alert["labels"]).items()): str(alert["activeAt"]) for alert in alerts}
        except (NoAnswerError, ValueError, KeyError, TypeError, RecursionError):
            return {}


def _texts(raw: Any) -> dict[str, str]:
    """Labels as short texts, whatever they were sent as."""
    if not isinstance(raw, dict):
        return {}
    return {str(key)[:TEXT_MAX]: str(value)[:TEXT_MAX] for key, value in list(raw.items())[:LABELS_MAX]}


def _active_at(active: Active, labels: Mapping[str, str]) -> str | None:
    """Of the series with these labels; by the rule's name alone where that names one series (labels may be added on the way)."""
    found = active.get(frozenset(labels.items()))
    if found is not None:
        return found
    named = ("alertname", labels.get("alertname", ""))
    of_rule = [at for series, at in active.items() if named in series]
    return of_rule[0] if len(of_rule) == 1 else None


def _belated(event: AlertReceived) -> Note:
    assert event.starts_ns is not None
    before_s = (event.t_ns - event.starts_ns) / 1e9
    words = f"{event.name} fires since {before_s:.1f} s, longer than this run listens: it is no news of this run"
    return Note(t_ns=event.t_ns, src="pager", text=words, data={"alert": event.name, "labels": event.labels})


def _told(text: Any) -> Shown | None:
    """An RFC 3339 time, and what its text cut off; None for what is no time, or Go's zero time."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not 2000 <= moment.year < 2200:
            return None
        digits = FRACTION.search(text)
        cut_ns = 10 ** (9 - min(len(digits[1]), 9)) if digits is not None else 10**9
        return Shown(round(moment.timestamp() * 1e6) * 1000, max(cut_ns, READ_NS))
    except (TypeError, ValueError, OverflowError):
        return None
