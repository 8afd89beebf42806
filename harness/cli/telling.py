"""Data on standard output, whose reader may be gone before all is told (`drill run NAME | head`).

That is no error, and it must not cost the exit code: a verdict is a verdict whether or not anybody read it to its end.
Rejected: to leave at the first refused write, which ends 0 whatever the run came to.
"""

from __future__ import annotations

import os
import sys

import click


def tell(text: str, *, nl: bool = True) -> None:
    """Like `click.echo`; once nobody reads any more, the rest is dropped."""
    try:
        click.echo(text, nl=nl)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
