"""`drill corrupt`: a damaged copy of a file, and a mask file that says which row and cell was hit by what."""

from __future__ import annotations

import errno
import json
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.telling import tell
from harness.errors import EnvironmentProblem, Exit, UsageError

if TYPE_CHECKING:
    from harness import corrupt
    from harness.cli.corrupting.job import Summary

SPEC_BYTES_MAX = 1 << 20
PIPE = "save what it gives to a file first: OUT is only there once all of IN was read well"
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
"""What a disk says that can't take any more."""


@click.command("corrupt")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--spec", required=True, type=click.Path(path_type=Path), help="What to do, as YAML or JSON.")
@click.option("--seed", type=int, help="Seed of all draws, instead of the spec's own.")
@click.option("--id", "id_column", default="", metavar="COLUMN", help="Draw by the row's id, not by its place.")
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), help="Default: as IN's name ends.")
@click.option("--mask", type=click.Path(path_type=Path), help="The mask file. Default: OUT.mask.jsonl.")
@click.option("--reference", type=click.Path(path_type=Path), help="A file of clean rows, for quantiles.")
@click.option(
    "--broken",
    type=click.Choice(["stop", "pass"]),
    default="stop",
    show_default=True,
    help="Lines that can't be read: stop there, or pass them unharmed and count them.",
)
@click.option("--force", is_flag=True, help="Write over OUT and the mask file where they exist.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on standard output.")
def command(
    source: Path,
    out: Path,
    spec: Path,
    seed: int | None,
    id_column: str,
    kind: str | None,
    mask: Path | None,
    reference: Path | None,
    broken: str,
    force: bool,
    as_json: bool,
) -> int:
    """Damage the rows of IN and write them to OUT: CSV with a header, JSON lines, or Parquet.

    IN is never changed, and memory doesn't grow with it. The mask file tells every damaged row and cell. docs/corrupt.md has
    the types of damage and how a spec is written. Exit code 1: nothing was hit.
    """
    from harness import corrupt

    mask = mask or out.with_name(out.name + ".mask.jsonl")
    own = {"the spec": spec, **({} if reference is None else {"the reference": reference})}
    _check_paths(source, out, mask, {"the input": source, **own}, force=force)
    chain = chain_of(spec, seed)
    try:
        with _ended_by_signals():
            summary = _run(source, out, mask, chain, kind or "", id_column, reference, pass_broken=broken == "pass")
    except corrupt.CorruptionError as error:
        where = "" if error.message.startswith("--") else f"{spec}: "
        raise UsageError(f"{where}{error.message}", hint=_hint(error)) from None
    except OSError as error:
        if error.errno in DISK:
            raise EnvironmentProblem(
                f"{out}: can't be written: {error.strerror}", hint="nothing was left behind; make room and try again"
            ) from None
        raise UsageError(f"{error.filename or source}: {error.strerror or error}") from None
    if as_json:
        tell(json.dumps(_as_json(summary, out, mask)))
    else:
        _say(summary, out, mask)
    return int(Exit.PASS if summary.hit else Exit.FAIL)


def _hint(error: corrupt.CorruptionError) -> str:
    """Of the command line, where the library's own speaks of arguments."""
    if "a reference is needed" in error.message:
        return "--reference FILE: clean rows with numbers in this column"
    if error.message.startswith("exact"):
        return "leave `exact` out: the dose is then the expected share. corrupt.damage, in Python, can be exact on a whole table"
    return error.hint


def _run(
    source: Path,
    out: Path,
    mask: Path,
    chain: tuple[corrupt.Corruption, ...],
    kind: str,
    id_column: str,
    reference: Path | None,
    *,
    pass_broken: bool,
) -> Summary:
    from harness import corrupt
    from harness.cli.corrupting.files import KINDS, kind_of
    from harness.cli.corrupting.job import columns_needed, reference_of, run

    form = kind_of(source, kind)
    named = KINDS.get(out.suffix.lower(), form)
    if named != form:
        raise UsageError(
            f"{out}: its name says {named}, and OUT is what IN is: {form}",
            hint="damage never makes another kind of file",
        )
    usual = corrupt.Reference()
    if reference is not None:
        _readable(reference)
        usual = reference_of(reference, kind_of(reference, ""), columns_needed(chain))
    with _finished(out) as new_out, _finished(mask) as new_mask, _progress(source) as progress:
        return run(
            source,
            new_out,
            new_mask,
            kind=form,
            chain=chain,
            id_column=id_column,
            reference=usual,
            pass_broken=pass_broken,
            progress=progress,
        )


def _check_paths(source: Path, out: Path, mask: Path, read: Mapping[str, Path], *, force: bool) -> None:
    if "-" in (str(source), str(out)):
        raise UsageError("-: is no pipe here; legal is the name of a file (./- for one of that name)", hint=PIPE)
    _readable(source)
    if out.resolve() == mask.resolve():
        raise UsageError(f"{mask}: is both OUT and the mask file")
    for path in (out, mask):
        for what, one in read.items():
            if path.exists() and one.exists() and path.samefile(one):
                raise UsageError(f"{path}: is {what}, which is never changed")
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; legal is the name of a file")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: is a pipe or a device; legal is the name of a file")
        if path.exists() and not force:
            raise UsageError(f"{path}: exists already", hint="--force writes over it")
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder")


def _readable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path}: is a folder; legal is a file", hint="one file at a time")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path}: is a pipe or a device; legal is a file", hint=PIPE)


@contextmanager
def _finished(path: Path) -> Iterator[Path]:
    """A file that has its name only once it is whole."""
    target = path.resolve()  # a link stays a link
    new = target.with_name(f".{path.name}.part")
    try:
        yield new
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """What was begun is taken away, as it is on Ctrl-C."""

    def end(number: int, _frame: object) -> None:
        sys.exit(int(Exit.TERMINATED if number == signal.SIGTERM else Exit.HUNG_UP))

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def chain_of(path: Path, seed: int | None) -> tuple[corrupt.Corruption, ...]:
    """A corruption, a list of them, or `{seed, chain}`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from harness import corrupt
    from harness.corrupt.errors import CorruptionError, unknown

    try:
        if path.stat().st_size > SPEC_BYTES_MAX:
            raise UsageError(f"{path}: larger than {SPEC_BYTES_MAX} bytes")
        document: Any = YAML(typ="safe", pure=True).load(path.read_text())
    except (YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    own_seed = 0
    if isinstance(document, Mapping) and "chain" in document:
        for key in document:
            if key not in ("chain", "seed"):
                raise UsageError(f"{path}: {unknown(str(key), key, known=('chain', 'seed')).message}")
        own_seed, document = document.get("seed", 0), document["chain"]
    steps = [document] if isinstance(document, Mapping) else document
    if not isinstance(steps, list) or isinstance(own_seed, bool) or not isinstance(own_seed, int):
        raise UsageError(f"{path}: legal is a corruption, a list of them, or {{seed: NUMBER, chain: [...]}}")
    try:
        return corrupt.parse_chain(steps, seed=own_seed if seed is None else seed)
    except CorruptionError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from None


@contextmanager
def _progress(source: Path) -> Iterator[Callable[[int], None]]:
    """A bar where somebody looks; elsewhere nothing."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(source.name), total=source.stat().st_size)
        yield lambda done: bar.update(task, completed=done)


def _say(summary: Summary, out: Path, mask: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("damage", box=None, pad_edge=False)
    for heading in ("rows hit", "of all", "rows lost"):
        table.add_column(heading, justify="right")
    table.add_column("cells hit")
    for name, told in summary.causes.items():
        share = (told.rows + told.dropped) / summary.rows_in if summary.rows_in else 0.0
        cells = ", ".join(f"{column}: {count:,}" for column, count in told.cells.items()) or "-"
        table.add_row(escape(name), f"{told.rows:,}", f"{share:.2%}", f"{told.dropped:,}", escape(cells))
    Console(stderr=True).print(table)
    lines = [f"{summary.rows_in:,} rows read, {summary.rows_out:,} written to {out}. What was hit: {mask}"]
    for name, told in summary.causes.items():
        for column, (count, example) in told.unchanged.items():
            lines.append(
                f"{name}: {count:,} {'more ' if told.cells.get(column) else ''}{'cells' if count > 1 else 'cell'} of "
                f"'{column}' chosen and not changed, such as {str(example)[:80]!r}"
            )
        if told.spared:
            lines.append(
                f"{name}: {told.spared:,} rows passed as they are; what its mechanism looks at is missing there"
            )
        if summary.hit and not told.rows and not told.dropped:
            lines.append(f"{name}: hit nothing")
    if summary.broken:
        lines.append(f"{summary.broken:,} lines couldn't be read and passed as they are")
    if not summary.rows_in:
        lines.append("Nothing was hit: there are no rows.")
    elif not summary.hit and any(told.unchanged for told in summary.causes.values()):
        lines.append("Nothing was hit: every row is as it was.")
    elif not summary.hit:
        lines.append(
            "Nothing was hit: every row is as it was. A larger dose, another mechanism, or another seed may hit."
        )
    for column, became in summary.retyped.items():
        lines.append(f"'{column}' has another type in all rows: {became}")
    for line in lines:
        click.echo(line, err=True)


def _as_json(summary: Summary, out: Path, mask: Path) -> dict[str, object]:
    causes = {
        name: {
            "rows": told.rows,
            "cells": told.cells,
            "dropped": told.dropped,
            "spared": told.spared,
            "unchanged": {column: cells for column, (cells, _) in told.unchanged.items()},
        }
        for name, told in summary.causes.items()
    }
    return {
        "out": str(out),
        "mask": str(mask),
        "rows_in": summary.rows_in,
        "rows_out": summary.rows_out,
        "broken": summary.broken,
        "retyped": summary.retyped,
        "causes": causes,
    }
