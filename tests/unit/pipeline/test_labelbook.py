"""The trainer's label book: what it keeps, how far it reads, what a reset leaves."""

from __future__ import annotations

import asyncio
from typing import Any

from pipeline import labelbook
from pipeline.labelbook import LabelBook


class Source:
    """Hands out labels in pages as a peer does."""

    def __init__(self, *labels: int) -> None:
        self.given = [{"id": f"t-{n}", "seq": n, "label": label, "amount": 1.0} for n, label in enumerate(labels)]
        self.asked: list[str] = []

    async def get_json(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        asked = dict(part.split("=") for part in path.split("?")[1].split("&"))
        first = int(asked["after"])
        page = self.given[first : first + int(asked["limit"])]
        return {"records": page, "next": first + len(page)}


def follow(book: LabelBook, source: Source) -> None:
    asyncio.run(book.follow(source))  # type: ignore[arg-type] # of a peer only get_json is asked


def received(book: LabelBook) -> list[tuple[str, int]]:
    return [(record["id"], record["label"]) for record in book.received]


def test_it_reads_on_from_where_it_was_and_over_several_pages(monkeypatch):
    monkeypatch.setattr(labelbook, "PAGE_ROWS", 2)
    source, book = Source(0, 1, 0, 0, 1), LabelBook()
    follow(book, source)
    assert book.labels() == {"t-0": 0, "t-1": 1, "t-2": 0, "t-3": 0, "t-4": 1}
    source.asked.clear()
    source.given.append({"id": "t-5", "seq": 5, "label": 1})
    follow(book, source)
    assert source.asked[0] == "/labels?after=5&limit=2"
    assert book.labels()["t-5"] == 1


def test_pages_are_bounded_and_the_rest_comes_with_the_next_look(monkeypatch):
    monkeypatch.setattr(labelbook, "PAGE_ROWS", 1)
    monkeypatch.setattr(labelbook, "PAGES_MAX", 2)
    source, book = Source(0, 1, 1), LabelBook()
    follow(book, source)
    assert list(book.labels()) == ["t-0", "t-1"]
    follow(book, source)
    assert list(book.labels()) == ["t-0", "t-1", "t-2"]


def test_a_label_stays_as_it_arrived_first_and_is_told_once():
    source, book = Source(1), LabelBook()
    follow(book, source)
    source.given.append({"id": "t-0", "seq": 0, "label": 0})
    follow(book, source)
    assert book.labels() == {"t-0": 1}
    assert received(book) == [("t-0", 1)]


def test_the_oldest_go_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(labelbook, "KEPT", 2)
    book = LabelBook()
    follow(book, Source(0, 1, 1))
    assert book.labels() == {"t-1": 1, "t-2": 1}


def test_cleared_it_knows_nothing_and_reads_nothing_anew():
    source, book = Source(0, 1), LabelBook()
    follow(book, source)
    book.clear()
    follow(book, source)
    assert book.labels() == {}
    assert received(book) == []
    source.given.append({"id": "t-2", "seq": 2, "label": 1})
    follow(book, source)
    assert book.labels() == {"t-2": 1}
    assert received(book) == [("t-2", 1)]
