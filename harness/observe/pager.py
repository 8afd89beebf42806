"""The pager sink: where the target's own monitoring sends its alerts, as Alertmanager webhooks (version 4).

The moment that counts is when a request came in, so it is stamped before anything is parsed. When it fired (`startsAt`) and
when its condition became true (`activeAt`, asked of the target's rules API) are converted by a clock pair, with its error.
Junk is answered 400 and changes nothing; bodies, alerts and connections are bounded.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from harness.clock import clock_pair, now_ns
from harness.contract.words import Severity
from harness.errors import EnvironmentProblem
from harness.history.events import AlertReceived, AnyEvent, ClockPair
from harness.spec.plan import PlannedRule

BODY_MAX = 1 << 20
ALERTS_MAX = 200
TEXT_MAX = 500
ACTIVE_TIMEOUT_S = 0.5


class PagerSink:
    """Listens on a loopback port; `put` takes the events. `active_url` gives Prometheus' `/api/v1/alerts`, if there is one."""

    def __init__(
        self,
        *,
        port: int,
        rules: tuple[PlannedRule, ...],
        active_url: str | None,
        put: Callable[[AnyEvent], None],
    ) -> None:
        self.port = port
        self.rules = {rule.name: rule for rule in rules}
        self.active_url = active_url
        self.put = put
        self._pool = urllib3.PoolManager(maxsize=4)
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Begins to listen. Raises `EnvironmentProblem` where the port is taken."""
        try:
            self._server = _Server(("127.0.0.1", self.port), _handler(self))
        except OSError as error:
            raise EnvironmentProblem(
                f"the pager sink can't listen on 127.0.0.1:{self.port}: {error.strerror}"
            ) from error
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="pager").start()

    def stop(self) -> None:
        """Idempotent."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def receive(self, body: bytes, received_ns: int) -> int:
        """Takes one webhook in; gives how many alerts it held. Raises ValueError for what is none."""
        data = json.loads(body)
        alerts = data.get("alerts") if isinstance(data, dict) else None
        if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
            raise ValueError("no Alertmanager webhook: `alerts` must be a list of objects")
        at_ns, wall, error = clock_pair()
        active = self._active_times() if any(alert.get("status") == "firing" for alert in alerts) else {}
        events = [
            self._event(alert, received_ns, offset=at_ns - wall, error_ns=error, active=active)
            for alert in alerts[:ALERTS_MAX]
        ]
        self.put(ClockPair(t_ns=at_ns, src="pager", source="wall", wall_ns=wall, error_ns=error))
        for event in events:
            self.put(event)
        return len(events)

    def _event(
        self, alert: Mapping[str, Any], received_ns: int, *, offset: int, error_ns: int, active: Mapping[str, str]
    ) -> AlertReceived:
        raw = alert.get("labels")
        labels = {str(k): str(v)[:TEXT_MAX] for k, v in raw.items()} if isinstance(raw, dict) else {}
        name = labels.get("alertname", "")
        status = alert.get("status")
        if not name or status not in ("firing", "resolved"):
            raise ValueError("an alert needs labels.alertname, and a status of firing or resolved")
        rule = self.rules.get(name)
        page = rule.severity is Severity.PAGE if rule is not None else labels.get("severity") == Severity.PAGE
        annotations = alert.get("annotations")
        summary = annotations.get("summary", "") if isinstance(annotations, dict) else ""
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
            starts_ns=_converted(alert.get("startsAt"), offset),
            active_ns=_converted(active.get(name), offset),
            clock_error_ns=error_ns,
        )

    def _active_times(self) -> dict[str, str]:
        """`activeAt` by rule name, as the target's rules API has it now; empty where it can't be asked."""
        if self.active_url is None:
            return {}
        try:
            response = self._pool.request(
                "GET", self.active_url, timeout=urllib3.Timeout(total=ACTIVE_TIMEOUT_S), retries=False
            )
            alerts = json.loads(response.data)["data"]["alerts"]
            return {alert["labels"]["alertname"]: alert["activeAt"] for alert in alerts}
        except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError):
            return {}


def _converted(text: Any, offset_ns: int) -> int | None:
    """An RFC 3339 time as ns of this host's monotonic clock; None for what is no time, or Go's zero time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None or moment.year < 2000:
        return None
    return round(moment.timestamp() * 1e6) * 1000 + offset_ns


class _Server(ThreadingHTTPServer):
    """Binds with SO_REUSEPORT, so that a target's reservation of the port can stand beside it."""

    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


def _handler(sink: PagerSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """POST anywhere: a webhook. Everything else is refused."""

        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            received = now_ns()
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_MAX:
                self._say(413 if length.isdigit() else 411)
                self.close_connection = True
                return
            try:
                sink.receive(self.rfile.read(int(length)), received)
            except (ValueError, RecursionError, TypeError):
                self._say(400)
                return
            self._say(200)

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: alerts are in the history."""

    return Handler
