"""`drill proxy`: the fault proxy on its own.

This process becomes the proxy (exec): it stays as light as if it had been started by itself, and keeps its id and its
descriptors, so that whoever started `drill proxy` holds the proxy. The options are read here only for help and for their
variables; what they mean is the program's.
"""

from __future__ import annotations

import os
import sys

import click

from harness.proxy.options import OPTIONS


class Dashes(click.Command):
    """Understands options with one dash, as toxiproxy-server's users type them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """With their second dash."""
        known = {option.name for option in OPTIONS} | {"help"}
        typed = [f"-{word}" if word[:1] == "-" and word[1:].partition("=")[0] in known else word for word in args]
        ctx.meta["typed"] = typed
        return super().parse_args(ctx, [word.partition("=")[0] if _switch_with_value(word) else word for word in typed])


def _switch_with_value(word: str) -> bool:
    name, value, _ = word.removeprefix("--").partition("=")
    return bool(value) and any(option.name == name and not option.takes for option in OPTIONS)


@click.command(
    cls=Dashes,
    params=[
        click.Option(
            [f"--{option.name}"],
            metavar=option.takes or None,
            is_flag=not option.takes,
            multiple=option.many,
            help=option.about,
        )
        for option in OPTIONS
    ],
)
@click.pass_context
def command(ctx: click.Context, /, **given: object) -> None:
    """A TCP fault proxy with Toxiproxy's API, leases and record taps.

    It runs until it is told to end (Ctrl-C, SIGTERM), and then gives on what it holds. The flags are toxiproxy-server's.
    """
    words = []
    for option in OPTIONS:
        key = option.name.replace("-", "_")
        if ctx.get_parameter_source(key) is not click.core.ParameterSource.ENVIRONMENT or not given[key]:
            continue
        value = given[key]
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{option.name}={one}" if option.takes else f"--{option.name}" for one in values]
    # -P: a folder called harness that happens to be here is not the one meant.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "harness.proxy", *words, *ctx.meta["typed"]])
