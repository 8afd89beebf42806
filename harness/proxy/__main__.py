"""The proxy as a program: `python -m harness.proxy --host --port --config --seed [--ready-fd N]`.

The flags are toxiproxy-server's. What differs: a configuration that can't be had whole is an error at the start (a link
that silently isn't proxied would make a drill lie), port 0 lets the kernel choose, and `--ready-fd` tells whoever
started it where everything listens, as one line of JSON, once it does.

SIGTERM and SIGINT end it: nothing new is accepted, delayed bytes are sent at once, open connections are closed (FIN).
Parent and standard input are no concern of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
from pathlib import Path

from harness.proxy.api import Api
from harness.proxy.http_server import HttpServer
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.loop import Loop, Wake
from harness.proxy.refusal import Refusal

DRAIN_NS_MAX = 1_000_000_000
DRAIN_LOOK_NS = 5_000_000
CONFIG_BYTES_MAX = 4 << 20
EXIT_USAGE = 2


class Program:
    def __init__(self, *, host: str, port: int, seed: int) -> None:
        self.loop = Loop()
        self.links = Links(self.loop, seed)
        self.api = Api(self.links, Leases(self.loop, self.links))
        shown = f"[{host}]" if ":" in host else host
        self.server = HttpServer(self.loop, self.api, f"{shown}:{port}")
        self._draining = False
        self._signals = Wake(self.loop, self.drain)
        self._signals.on_signals(signal.SIGTERM, signal.SIGINT)

    def configure(self, path: Path) -> None:
        """Raises Refusal or OSError."""
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise Refusal(f"{path}: larger than {CONFIG_BYTES_MAX} bytes")
        answer = self.api.answer("POST", "/populate", {}, path.read_bytes())
        if answer.status != 201:
            assert isinstance(answer.body, dict)
            raise Refusal(f"{path}: {answer.body['error']}")

    def ready(self) -> dict[str, object]:
        return {"api": self.server.address, "proxies": {link.name: link.listen for link in self.links.by_name.values()}}

    def drain(self) -> None:
        """The second call ends at once."""
        if self._draining:
            self.loop.stop()
            return
        self._draining = True
        self.server.close()
        for link in self.links.by_name.values():
            link.drain()
        self._look_drained(self.loop.now_ns + DRAIN_NS_MAX)

    def _look_drained(self, until_ns: int) -> None:
        links = self.links.by_name.values()
        if self.loop.now_ns >= until_ns or all(link.drained for link in links):
            for link in links:
                link.stop(keep_port=False)
            # Stopping only after this round: it closes the sockets.
            self.loop.at(self.loop.now_ns, self.loop.stop)
        else:
            self.loop.at(self.loop.now_ns + DRAIN_LOOK_NS, lambda: self._look_drained(until_ns))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harness.proxy", description="A TCP fault proxy with record taps.")
    parser.add_argument("--host", default="127.0.0.1", help="where the API listens (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8474, help="port of the API, 0 for any (default: %(default)s)")
    parser.add_argument("--config", type=Path, help="JSON list of proxies, as Toxiproxy's")
    parser.add_argument("--seed", type=int, default=0, help="of all random draws (default: %(default)s)")
    parser.add_argument("--ready-fd", type=int, help="descriptor to tell, once, where everything listens")
    return parser.parse_args()


def _tell(fd: int, what: dict[str, object]) -> None:
    # A starter that has gone needs no answer.
    with contextlib.suppress(OSError):
        os.write(fd, json.dumps(what).encode() + b"\n")
        os.close(fd)


def main() -> int:
    arguments = _arguments()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        program = Program(host=arguments.host, port=arguments.port, seed=arguments.seed)
        if arguments.config is not None:
            program.configure(arguments.config)
    except (Refusal, OSError) as error:
        print(f"proxy: {error}", file=sys.stderr)
        return EXIT_USAGE
    ready = program.ready()
    print(f"proxy: API at {ready['api']}", file=sys.stderr, flush=True)
    if arguments.ready_fd is not None:
        _tell(arguments.ready_fd, ready)
    program.loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
