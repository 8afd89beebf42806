"""Hand-written SVG: elements, a time scale, ticks, and labels that don't run into each other.

Rejected: a chart library (3 to 5 MB a page, and nothing without scripts). What always holds: everything that comes from a history
is escaped here, in `element`, so no caller can forget it; numbers have one decimal, so the same run gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from markupsafe import Markup, escape

from harness.report.words import NS

CHAR_WIDTH = 6.1
"""Of the labels' font (11 px, sans-serif), on the wide side."""

T = TypeVar("T")


class Scale(msgspec.Struct, frozen=True):
    """Time to pixels: `from_ns` at 0, `to_ns` at `width`. `zero_ns` is the moment that is shown as 0 s."""

    from_ns: int
    to_ns: int
    zero_ns: int
    width: float

    def x(self, t_ns: int) -> float:
        """Pixels of a moment, kept inside the picture."""
        share = (t_ns - self.from_ns) / max(self.to_ns - self.from_ns, 1)
        return min(max(share, 0.0), 1.0) * self.width

    def inside(self, t_ns: int) -> bool:
        return self.from_ns <= t_ns <= self.to_ns

    def ticks(self, count: int = 10) -> list[tuple[float, str]]:
        """Round times: (pixels, label), at most about `count`."""
        step = nice_step((self.to_ns - self.from_ns) / NS / count)
        first = math.ceil((self.from_ns - self.zero_ns) / NS / step)
        last = math.floor((self.to_ns - self.zero_ns) / NS / step)
        digits = 0 if step >= 1 else 1 if step >= 0.1 else 2
        return [
            (self.x(self.zero_ns + round(i * step * NS)), tick_text(i * step, digits)) for i in range(first, last + 1)
        ]


def tick_text(value_s: float, digits: int) -> str:
    """`0 s`, `+5 s`, with a true minus."""
    if round(value_s, 3) == 0:
        return "0 s"
    return f"{value_s:+.{digits}f} s".replace("-", "\N{MINUS SIGN}")


def nice_step(rough: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `rough`."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def element(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """An SVG element. `class_` is `class`, other underscores are dashes; numbers are rounded; None is left out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = Markup("").join(escape(child) for child in children)
    return Markup(f"<{name}{told}>{body}</{name}>") if children else Markup(f"<{name}{told}/>")


def group(children: Iterable[Markup], **attributes: object) -> Markup:
    return element("g", Markup("").join(children), **attributes)


def title(text: str) -> Markup:
    """What a pointer shows and a reader reads."""
    return element("title", text)


def rectangle(x0: float, x1: float, y: float, height: float, *, class_: str, told: str = "") -> Markup:
    """From x0 to x1, at least a pixel wide, so that what happened is seen."""
    width = max(x1 - x0, 1.0)
    children = (title(told),) if told else ()
    return element("rect", *children, x=x0, y=y, width=width, height=height, class_=class_)


def line(x0: float, y0: float, x1: float, y1: float, *, class_: str) -> Markup:
    return element("line", x1=x0, y1=y0, x2=x1, y2=y1, class_=class_)


def label(x: float, y: float, text: str, *, class_: str = "", anchor: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def text_width(text: str) -> float:
    return len(text) * CHAR_WIDTH


class Placed(msgspec.Struct, frozen=True):
    """Where a label stands: its row, its x, and whether it ends there rather than begins."""

    row: int
    x: float
    ends: bool


class Rows:
    """Finds each label the first row where it runs into nothing; left of its mark where there is no room on the right."""

    def __init__(self, *, width: float, gap: float = 8.0) -> None:
        self._width = width
        self._gap = gap
        self._taken: list[list[tuple[float, float]]] = []

    @property
    def count(self) -> int:
        return max(len(self._taken), 1)

    def place(self, from_x: float, to_x: float, text: str, *, pad: float = 7.0) -> Placed:
        """A label for what stands from `from_x` to `to_x`."""
        wide = text_width(text)
        ends = to_x + pad + wide > self._width and from_x - pad - wide >= 0
        left = from_x - pad - wide if ends else from_x - pad
        right = to_x + pad if ends else to_x + pad + wide
        row = next((i for i, taken in enumerate(self._taken) if self._free(taken, left, right)), len(self._taken))
        if row == len(self._taken):
            self._taken.append([])
        self._taken[row].append((left, right))
        return Placed(row, from_x - pad if ends else to_x + pad, ends)

    def _free(self, taken: list[tuple[float, float]], left: float, right: float) -> bool:
        return all(
            right + self._gap <= other_left or left >= other_right + self._gap for other_left, other_right in taken
        )


def _number(value: object) -> object:
    if isinstance(value, float):
        text = f"{value:.1f}"
        return text[:-2] if text.endswith(".0") else text
    return value
