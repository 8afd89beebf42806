"""A throw-away pipeline for drills of the harness itself: a till that asks a back office, standard library only.

Everything that a fault can break is there, small enough to start in a second: an alias, settings, a job, records sent and
received, memory to hold. Nothing pages by itself: a test posts the alert when it wants one.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

DEFAULTS = {"job_fail": "", "regime": "normal", "magnitude": 0.0}
STATE = Path(os.environ.get("STATE_DIR", "."))
LISTS: dict[str, list[dict]] = {"received": [], "sent": [], "jobs": []}
LOCK = threading.Lock()


def settings() -> dict:
    stored = STATE / "config.json"
    return DEFAULTS | (json.loads(stored.read_text()) if stored.exists() else {})


def note(name: str, record: dict) -> None:
    with LOCK:
        LISTS[name].append(record)


def run_jobs() -> None:
    while True:
        time.sleep(0.1)
        error = settings()["job_fail"]
        run = {"run": len(LISTS["jobs"]), "status": "failed" if error else "ok", "error": error, "ended": time.time()}
        note("jobs", run)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is no news, and the lines about it would push out what is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.strip("/")
        match name:
            case "ready" | "health":
                self.say({"service": os.environ["SERVICE"]})
            case "config":
                self.say(settings())
            case "alias" | "served":
                alias = STATE.parent / "alias"
                self.say({"version": alias.read_text() if alias.exists() else "1"})
            case "next":
                with LOCK:
                    first = len(LISTS["sent"])
                    new = [{"id": f"t{n}", "amount": 10.0 + n % 7} for n in range(first, first + 10)]
                    LISTS["sent"] += new
                self.say({"orders": new})
            case _ if name in LISTS:
                after = int(parse_qs(parts.query).get("after", ["0"])[0])
                with LOCK:
                    page = LISTS[name][after : after + 1000]
                self.say({"records": page, "next": after + len(page)})
            case _:
                self.say({"error": "no such call"}, status=404)

    def do_PATCH(self) -> None:
        (STATE / "config.json").write_text(json.dumps(settings() | self.body()))
        self.say(settings())

    def do_POST(self) -> None:
        body = self.body()
        match self.path:
            case "/decide":
                if not str(body.get("id", "")).startswith("golden"):
                    note("received", {"id": body.get("id"), "amount": body.get("amount")})
                status, version = ask_back()
                self.say({"amount": body.get("amount"), "version": version}, status=status)
            case "/alias":
                (STATE.parent / "alias").write_text(str(body["version"]))
                self.say({})
            case "/variant":
                self.say({"version": "2"})
            case "/reset":
                (STATE / "config.json").unlink(missing_ok=True)
                (STATE.parent / "alias").unlink(missing_ok=True)
                self.say({})

    def body(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def say(self, body: dict, *, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        return


def ask_back() -> tuple[int, str]:
    """The version that the back office answers with, asked by the link."""
    parts = urlsplit(os.environ["BACK_URL"])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
    try:
        connection.request("GET", "/served")
        return 200, json.loads(connection.getresponse().read())["version"]
    except (OSError, http.client.HTTPException):
        return 502, ""
    finally:
        connection.close()


def main() -> None:
    print("the shop opens:", os.environ["SERVICE"], file=sys.stderr, flush=True)
    threading.Thread(target=run_jobs, daemon=True).start()
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


def refuses() -> None:
    print("the till is jammed and can't be opened", file=sys.stderr, flush=True)
    raise SystemExit(9)
