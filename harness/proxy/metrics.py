"""What Prometheus reads at `/metrics`: bytes by proxy and direction, under Toxiproxy's names, and what the process uses.

Written by hand in the text format: a metrics library would cost the proxy more memory than its connections. The bytes
are live, where Toxiproxy adds a connection's when it has ended; so a series is there from the start, with a 0.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.proxy.api.call import Answer, Call
from harness.proxy.link import STREAMS, Links

TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_STARTED_S = time.time()


class Metrics:
    def __init__(self, links: Links, *, proxies: bool, runtime: bool) -> None:
        self._links = links
        self._proxies = proxies
        self._runtime = runtime

    def answer(self, call: Call) -> Answer:
        lines = [*(self._bytes() if self._proxies else ()), *(_process() if self._runtime else ())]
        return Answer(200, text="\n".join([*lines, ""]), type=TYPE)

    def _bytes(self) -> Iterator[str]:
        links = sorted(self._links.by_name.values(), key=lambda link: link.name)
        for what in ("received", "sent"):
            series = []
            for link in links:
                counted = link.bytes_received if what == "received" else link.bytes_sent
                for stream in sorted(STREAMS):
                    labels = {
                        "direction": stream,
                        "listener": link.listen,
                        "proxy": link.name,
                        "upstream": link.upstream,
                    }
                    text = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in labels.items())
                    series.append(f"{{{text}}} {counted.get(stream, 0)}")
            yield from _family(f"toxiproxy_proxy_{what}_bytes_total", "counter", f"Bytes {what} by direction.", series)


def _family(name: str, kind: str, about: str, series: Iterable[str]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for each in series:
        yield name + each


def _process() -> Iterator[str]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages, resident = (int(word) for word in Path("/proc/self/statm").read_text().split()[:2])
    page = os.sysconf("SC_PAGE_SIZE")
    for name, kind, about, value in (
        ("cpu_seconds_total", "counter", "User and system time.", used.ru_utime + used.ru_stime),
        ("open_fds", "gauge", "Open descriptors.", len(os.listdir("/proc/self/fd")) - 1),
        ("max_fds", "gauge", "Most descriptors that may be open.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("resident_memory_bytes", "gauge", "Resident memory.", resident * page),
        ("virtual_memory_bytes", "gauge", "Virtual memory.", pages * page),
        ("start_time_seconds", "gauge", "When the process started, in seconds since 1970.", _STARTED_S),
    ):
        yield from _family(f"process_{name}", kind, about, [f" {value}"])
