"""The options of `drill proxy`, once: the program parses them without click, and the command line shows them with it.

The first six are toxiproxy-server's, which writes them with one dash; both are understood.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """`takes` is the name of its value, or empty for a switch."""

    name: str
    about: str
    takes: str = ""
    many: bool = False


OPTIONS = (
    Option("host", "where the API listens (default: 127.0.0.1)", "NAME"),
    Option("port", "port of the API, 0 for any (default: 8474)", "NUMBER"),
    Option("config", "JSON list of proxies, as Toxiproxy's; each may have `toxics`", "FILE"),
    Option("seed", "of all random draws (default: one is drawn, and told)", "NUMBER"),
    Option("proxy-metrics", "bytes by proxy and direction at /metrics"),
    Option("runtime-metrics", "what the process uses, at /metrics"),
    Option("version", "tell the version, and end"),
    Option("compat", "where Toxiproxy's behaviour is a surprise that some rely on, behave like it"),
    Option("allow-host", "a further name by which the API may be called (several times)", "NAME", many=True),
    Option("spin-us", "polls so many microseconds more before it sleeps, 0 to save CPU (default: 50)", "NUMBER"),
    Option("ready-fd", "descriptor to tell, once, where everything listens", "NUMBER"),
    Option("json", "tell on standard output, once, where everything listens"),
)
