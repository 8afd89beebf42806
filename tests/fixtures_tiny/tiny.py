"""A throw-away pipeline of one kind of service, standard library only: answers /ready, /health, /config, /items; can eat memory.

Run by the tests of the embedded driver in place of the reference pipeline.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

DEFAULTS = {"level": 1, "mode": "plain", "threshold": 0.5}
EATEN: list[bytes] = []
STATE = Path(os.environ.get("STATE_DIR", "."))


def settings() -> dict:
    stored = STATE / "config.json"
    return DEFAULTS | (json.loads(stored.read_text()) if stored.exists() else {})


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up (whoever asks for readiness reads no more than the first line) leaves no lines in the log."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        match path:
            case "/ready" | "/health":
                self.say({"service": os.environ.get("SERVICE"), "pid": os.getpid()})
            case "/config":
                self.say(settings())
            case "/env":
                self.say(dict(os.environ))
            case "/items":
                self.say({"records": [{"id": f"r{n}"} for n in range(3)] if "after=0" in self.path else [], "next": 3})
            case "/alias" | "/served":
                version = STATE.parent / "alias"
                self.say({"model": {"version": int(version.read_text()) if version.exists() else 1}})
            case "/now":
                self.say({"now": time.monotonic_ns()})
            case "/peer":
                self.peer()
            case _:
                self.say({"error": "no such call"}, status=404)

    def do_PATCH(self) -> None:
        changes = self.body()
        if set(changes) - set(DEFAULTS):
            self.say({"error": f"unknown setting {set(changes) - set(DEFAULTS)}"}, status=400)
            return
        (STATE / "config.json").write_text(json.dumps(settings() | changes))
        self.say(settings())

    def do_POST(self) -> None:
        body = self.body()
        match self.path:
            case "/reset":
                (STATE / "config.json").unlink(missing_ok=True)
                (STATE.parent / "alias").unlink(missing_ok=True)
                self.say({})
            case "/alias":
                (STATE.parent / "alias").write_text(str(body["version"]))
                self.say({})
            case "/variant":
                self.say({"version": 7, "made": body["kind"]})
            case "/eat":
                EATEN.append(os.urandom(body["bytes"]))
                self.say({})
            case "/echo":
                self.say(body)
            case "/child":
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                self.say({"pid": child.pid})
            case "/die":
                os._exit(3)

    def peer(self) -> None:
        """Asks its peer, so that faults on the link are felt."""
        parts = urlsplit(os.environ["PEER_URL"])
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
        began = time.monotonic()
        try:
            connection.request("GET", "/health")
            self.say({"status": connection.getresponse().status, "seconds": time.monotonic() - began})
        except OSError as error:
            self.say({"error": str(error)}, status=502)
        finally:
            connection.close()

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


def main() -> None:
    print("tiny service starts", os.environ["SERVICE"], file=sys.stderr)
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


def broken() -> None:
    print("the last words of a broken service", file=sys.stderr)
    raise SystemExit(9)


if __name__ == "__main__":
    main()
