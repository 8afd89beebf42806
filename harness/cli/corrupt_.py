"""`drill corrupt`: a damaged copy of a file, and a mask file that says which row and cell was hit by what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.telling import tell
from harness.errors import Exit, UsageError

if TYPE_CHECKING:
    from harness import corrupt
    from harness.cli.corrupting.job import Summary

SPEC_BYTES_MAX = 1 << 20


@click.command("corrupt")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--spec", required=True, type=click.Path(path_type=Path), help="What to do: YAML or JSON, see docs/corrupt.md."
)
@click.option("--seed", type=int, help="Of all draws, instead of the spec's own.")
@click.option(
    "--id", "id_column", default="", metavar="COLUMN", help="The rows' id: draws belong to it, not to the place."
)
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), help="Where the names don't tell.")
@click.option("--mask", type=click.Path(path_type=Path), help="The mask file; OUT.mask.jsonl where not given.")
@click.option("--reference", type=click.Path(path_type=Path), help="Clean rows that quantiles are taken from.")
@click.option("--broken", type=click.Choice(["stop", "pass"]), default="stop", help="Lines that can't be read.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
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

    The input is never changed. Memory doesn't grow with the file. A spec that hit nothing is told, and ends with exit code 1.
    """
    from harness.cli.corrupting.files import kind_of
    from harness.cli.corrupting.job import columns_needed, reference_of, run

    mask = mask or out.with_name(out.name + ".mask.jsonl")
    _check_paths(source, out, mask, force=force)
    chain = chain_of(spec, seed)
    form = kind_of(source, kind or "")
    from harness import corrupt

    usual = corrupt.Reference()
    if reference is not None:
        usual = reference_of(reference, kind_of(reference, ""), columns_needed(chain))
    with _finished(out) as new_out, _finished(mask) as new_mask, _progress(source) as progress:
        summary = run(
            source,
            new_out,
            new_mask,
            kind=form,
            chain=chain,
            id_column=id_column,
            reference=usual,
            pass_broken=broken == "pass",
            progress=progress,
        )
    if as_json:
        tell(json.dumps(_as_json(summary, out, mask)))
    else:
        _say(summary, out, mask)
    return int(Exit.PASS if summary.hit else Exit.FAIL)


def _check_paths(source: Path, out: Path, mask: Path, *, force: bool) -> None:
    if not source.is_file():
        raise UsageError(f"{source}: no such file")
    for path in (out, mask):
        if path.exists() and path.resolve() == source.resolve():
            raise UsageError(f"{path}: is the input, which is never changed")
        if path.exists() and not force:
            raise UsageError(f"{path}: is there already", hint="--force writes over it")
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder")


@contextmanager
def _finished(path: Path) -> Iterator[Path]:
    """A file that has its name only once it is whole."""
    new = path.with_name(f".{path.name}.part")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


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
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(source.name, total=source.stat().st_size)
        yield lambda done: bar.update(task, completed=done)


def _say(summary: Summary, out: Path, mask: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("cause", "rows", "share", "cells", "lost", box=None, pad_edge=False)
    for name, told in summary.causes.items():
        share = (told.rows + told.dropped) / summary.rows_in if summary.rows_in else 0.0
        cells = ", ".join(f"{column} {count:,}" for column, count in told.cells.items()) or "-"
        table.add_row(name, f"{told.rows:,}", f"{share:.2%}", cells, f"{told.dropped:,}" if told.dropped else "-")
    Console(stderr=True).print(table)
    click.echo(f"{summary.rows_in:,} rows read, {summary.rows_out:,} written to {out}; what was hit: {mask}", err=True)
    spared = sum(told.spared for told in summary.causes.values())
    if spared:
        click.echo(f"{spared:,} rows were passed over: what the mechanism looks at is missing there", err=True)
    if summary.broken:
        click.echo(f"{summary.broken:,} lines couldn't be read and passed as they are", err=True)
    if not summary.hit:
        click.echo("Nothing was hit: the output says what the input says.", err=True)


def _as_json(summary: Summary, out: Path, mask: Path) -> dict[str, object]:
    causes = {
        name: {"rows": told.rows, "cells": told.cells, "dropped": told.dropped, "spared": told.spared}
        for name, told in summary.causes.items()
    }
    return {
        "out": str(out),
        "mask": str(mask),
        "rows_in": summary.rows_in,
        "rows_out": summary.rows_out,
        "broken": summary.broken,
        "causes": causes,
    }
