"""Names that a target file uses and doesn't define: a link to a service that isn't there, a port that nobody reserves.

pydantic looks at one value at a time; these are about two. Found when the file is read, because the driver would meet them
one by one, in the middle of a drill. Rejected: a model validator, whose one error has no place in the file.

Always true: every problem stands at the place where the name is used, and says which names are defined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.spec.base import found
from harness.spec.explain import walk
from harness.spec.problems import Problem, meant
from harness.spec.target import TargetSpec
from harness.spec.yaml_nodes import Place

OUTSIDE = "outside"
_REFERENCE = re.compile(r"\$\{(service|link|port)\.([^{}]*)\}")
_ENDINGS = {"service": (".url", ".port"), "link": (".url",), "port": ("",)}

Use = tuple[tuple[str | int, ...], str, str]
"""Where a name is used, what it names, and the name."""


def undefined_names(spec: TargetSpec, place: Place) -> Iterator[Problem]:
    """Problems of a file that is otherwise right."""
    defined = {
        "service": set(spec.services),
        "service or `outside`": {*spec.services, OUTSIDE},
        "role": {service.role for service in spec.services.values()},
        "link": set(spec.links),
        "port": set(spec.ports),
        "reading": set(spec.readings),
        "component": {*spec.services, *spec.links, *spec.models, *spec.graph.datasets, *spec.graph.models},
    }
    for path, what, name in _uses(spec):
        if name not in defined[what]:
            at = walk(place, path)[0]
            yield Problem(at.line, at.column, f"unknown {what} {found(name)}{_legal(name, defined[what])}")
    yield from _references(place, defined)


def _uses(spec: TargetSpec) -> Iterator[Use]:
    for name, service in spec.services.items():
        yield from ((("services", name, "needs", index), "service", need) for index, need in enumerate(service.needs))
    for name, link in spec.links.items():
        yield ("links", name, "from"), "service or `outside`", link.from_
        yield ("links", name, "to"), "service", link.to
    if spec.golden is not None:
        yield ("golden", "link"), "link", spec.golden.link
    for name, load in spec.load.items():
        yield ("load", name, "link"), "link", load.link
    if isinstance(spec.alerts.sink_port, str):
        yield ("alerts", "sink_port"), "port", spec.alerts.sink_port
    if spec.quality is not None:
        yield ("quality", "decisions"), "reading", spec.quality.decisions
        yield ("quality", "truth"), "reading", spec.quality.truth
    if spec.docker is not None:
        yield from ((("docker", "containers", name), "service", name) for name in spec.docker.containers)
        yield from ((("docker", "ports", name), "service", name) for name in spec.docker.ports)
    for name, model in spec.models.items():
        yield ("models", name, "served", "role"), "role", model.served.role
    for index, edge in enumerate(spec.graph.edges):
        yield from ((("graph", "edges", index, end), "component", name) for end, name in enumerate(edge))


def _references(place: Place, defined: dict[str, set[str]]) -> Iterator[Problem]:
    """`${service.NAME.url}` and the like, wherever they stand."""
    if isinstance(place.value, str):
        for what, rest in _REFERENCE.findall(place.value):
            legal = [name + ending for name in defined[what] for ending in _ENDINGS[what]]
            if rest not in legal:
                wrong = f"${{{what}.{rest}}}"
                yield Problem(
                    place.line, place.column, f"unknown {found(wrong)}{_legal(f'{what}.{rest}', legal, before=what)}"
                )
    for inner in place.within.values():
        yield from _references(inner, defined)


def _legal(name: str, legal: Iterable[str], *, before: str = "") -> str:
    names = sorted(f"{before}.{one}" if before else one for one in legal)
    return meant(name, names, what="Defined here") if names else ". None is defined here"
