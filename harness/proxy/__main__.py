"""The proxy as a program: `drill proxy`, or `python -m harness.proxy`; `options` has what it understands.

The flags are toxiproxy-server's. What differs: a configuration that can't be had whole is an error at the start, so is a
port of the API that can't be had, port 0 lets the kernel choose, and `--ready-fd` tells whoever started it where
everything listens, as one line of JSON, once it does. A seed that isn't given is drawn and told, so that a run repeats.

SIGTERM and SIGINT end it: nothing new is accepted, delayed bytes are sent at once, open connections are closed (FIN); the
second of them ends it without that. Parent and standard input are no concern of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.proxy import configuration
from harness.proxy.api import VERSION, Api
from harness.proxy.folder.link import Folders
from harness.proxy.guard import Guard
from harness.proxy.http_server import HttpServer
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.loop import Loop, Wake
from harness.proxy.metrics import Metrics
from harness.proxy.options import OPTIONS, Option
from harness.proxy.refusal import Refusal

DRAIN_NS_MAX = 1_000_000_000
DRAIN_LOOK_NS = 5_000_000
EXIT_USAGE = 2
SPIN_US = 50
PORT_MAX = 65535


class Program:
    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        host = arguments.host
        self.loop = Loop(spin_ns=max(0, arguments.spin_us) * 1000)
        self.links = Links(self.loop, seed, compat=arguments.compat)
        wanted = arguments.proxy_metrics or arguments.runtime_metrics
        metrics = Metrics(self.links, proxies=arguments.proxy_metrics, runtime=arguments.runtime_metrics)
        self.folders = Folders(self.loop)
        leases = Leases(self.loop, self.links, self.folders)
        self.api = Api(self.links, self.folders, leases, metrics if wanted else None)
        shown = f"[{host}]" if ":" in host else host
        guard = Guard.of([host, *arguments.allow_host])
        self.server = HttpServer(self.loop, self.api, f"{shown}:{arguments.port}", guard)
        self._draining = False
        self._signals = Wake(self.loop, self.drain)
        self._signals.on_signals(signal.SIGTERM, signal.SIGINT)

    def ready(self) -> dict[str, object]:
        listening = {link.name: link.listen for link in self.links.by_name.values()}
        return {"api": self.server.address, "proxies": listening, "seed": self.links.seed}

    def drain(self) -> None:
        """The second call ends at once."""
        if self._draining:
            self.loop.stop()
            return
        self._draining = True
        self.server.close()
        for link in self.links.by_name.values():
            link.drain()
        self.folders.drain()
        self._look_drained(self.loop.now_ns + DRAIN_NS_MAX)

    def _look_drained(self, until_ns: int) -> None:
        links = self.links.by_name.values()
        if self.loop.now_ns >= until_ns or (self.folders.drained and all(link.drained for link in links)):
            for link in links:
                link.stop(keep_port=False)
            # Stopping only after this round: it closes the sockets.
            self.loop.at(self.loop.now_ns, self.loop.stop)
        else:
            self.loop.at(self.loop.now_ns + DRAIN_LOOK_NS, lambda: self._look_drained(until_ns))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="drill proxy", description="A TCP fault proxy with Toxiproxy's API and record taps.", allow_abbrev=False
    )
    defaults = {"host": "127.0.0.1", "port": 8474, "spin-us": SPIN_US}
    for option in OPTIONS:
        names = (f"--{option.name}", f"-{option.name}")
        if option.many:
            parser.add_argument(*names, metavar=option.takes, action="append", default=[], help=option.about)
        elif option.takes:
            kind, default = _kind(option), defaults.get(option.name)
            parser.add_argument(*names, metavar=option.takes, type=kind, default=default, help=option.about)
        else:  # a switch, which Go's users may also write with its value: `-proxy-metrics=false`
            parser.add_argument(*names, type=_switch, nargs="?", const=True, default=False, help=option.about)
    arguments = parser.parse_args(words)
    if not 0 <= arguments.port <= PORT_MAX:
        parser.error(f"argument --port: {arguments.port} is out of range: legal are 0 to {PORT_MAX}")
    return arguments


def _kind(option: Option) -> type[int | str | Path]:
    return {"NUMBER": int, "FILE": Path}.get(option.takes, str)


def _switch(text: str) -> bool:
    words = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _tell(fd: int, what: dict[str, object]) -> None:
    # A starter that has gone needs no answer.
    with contextlib.suppress(OSError):
        os.write(fd, json.dumps(what).encode() + b"\n")
        os.close(fd)


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    if arguments.version:
        print(f"mldrill fault proxy {__version__}, API of toxiproxy-server version {VERSION}")
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(4), "big")
    try:
        program = Program(arguments, seed)
        if arguments.config is not None:
            configuration.load(arguments.config, program.api.proxies)
    except (Refusal, OSError) as error:
        print(f"proxy: {error}", file=sys.stderr)
        return EXIT_USAGE
    ready = program.ready()
    print(f"proxy: API at {ready['api']}, seed {seed}", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps(ready), flush=True)
    if arguments.ready_fd is not None:
        _tell(arguments.ready_fd, ready)
    program.loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
