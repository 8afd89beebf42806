"""Toxics are found by themselves; the page on adding one shows a whole one that works."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import harness.proxy.toxic as package
from harness.proxy.toxic import TYPES, Declaration, declared
from harness.proxy.toxic.parts.base import BaseStage
from tests.repo.test_examples import blocks
from tests.unit.proxy.clocked import piped, toxic

PAGE = Path(__file__).parents[3] / "docs/adding-a-toxic.md"
MS = 1_000_000


def module(name: str, **names: object) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(names)
    return made


def test_every_file_is_a_toxic_of_its_name() -> None:
    files = {found.name for found in pkgutil.iter_modules(package.__path__) if not found.ispkg}
    assert files == TYPES.keys()
    assert {"latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"} <= files


def test_two_of_one_name_are_refused() -> None:
    one = Declaration("twice", stage=BaseStage)
    with pytest.raises(TypeError, match=r"b declares a second toxic 'twice'"):
        declared([module("a", TOXIC=one), module("b", TOXIC=Declaration("twice", stage=BaseStage))])


def test_a_module_without_a_toxic_is_refused() -> None:
    with pytest.raises(TypeError, match=r"empty declares no toxic"):
        declared([module("empty")])


def test_the_example_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in blocks(PAGE) if block.what == "file"]
    path = tmp_path / Path(block.argument).name
    path.write_text(block.text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    ((kind, declaration),) = declared([loaded]).items()
    assert f"harness/proxy/toxic/{kind}.py" == block.argument
    monkeypatch.setitem(TYPES, kind, declaration)

    pauses = toxic(kind, every=100, pause=50)
    pipe = piped(pauses)
    pipe.feed(bytes(250))
    pipe.run()
    assert [(at_ns // MS, size) for (at_ns, _), size in zip(pipe.out, pipe.sizes, strict=True)] == [
        (0, 100),
        (50, 100),
        (100, 50),
    ]
    assert pauses.shown(counters=True)["affected"] == {"connections": 1, "chunks": 1, "bytes": 150}
    for key, attribute in declaration.attributes.items():
        assert re.search(rf"`{key}`", PAGE.read_text()), "the page explains its attributes"
        assert attribute.most > attribute.least
