"""The command `drill`: one small file a verb, loaded only when it is called, so that `drill --help` is quick.

Data goes to standard output, words for people to standard error, `--json` on every verb. User mistakes print without a
traceback and name the next command; anything else is a defect, and exits 70.

An option not given is taken from the variable that is named like it. Rejected: click's own `auto_envvar_prefix`, which names
it after a function's parameter, so that renaming that would change what people have set.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from harness import __version__
from harness.errors import EnvironmentProblem, Exit, HarnessError

VERBS = {
    "list": "What can be broken, by incident type",
    "run": "One drill: inject, detect, respond, score, report",
    "score": "The scorecard of a recorded run, again",
    "report": "The views of a recorded run, again",
    "page": "The page and picture of the catalogue, from recorded runs",
    "twin": "Whether a repair is as it would have been: a run against its control",
    "replay": "Feed a recorded run to the conductor and compare its commands",
    "validate": "Check files that people write",
    "plan": "What a drill would do, step by step; nothing is started",
    "corrupt": "Damage a file of data, with the truth about every damaged cell",
    "dose": "The smallest damage that monitoring sees, found offline",
    "schema": "JSON Schema of scenario, playbook and target files",
    "up": "Bring a target up and leave it running",
    "down": "Take a target down",
    "status": "What is running, service by service",
    "heal": "Undo whatever a dead run left behind",
    "doctor": "What is still broken, and whether this machine is fit for drills",
    "proxy": "The fault proxy on its own: Toxiproxy's API, leases, record taps",
}


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A full disk is no defect of ours."""


class Verbs(click.Group):
    """Verbs by name, each in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads the verb's module, and gives its options their variables."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"harness.cli.{cmd_name}_")
        command: click.Command = module.command
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                parameter.envvar = _variable(cmd_name, parameter)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Unknown verbs get the nearest match."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from harness.plugin import unknown

            ctx.fail(unknown("verb", args[0], VERBS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Their one-line descriptions, without loading them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, args: Sequence[str] | None = None, *more: Any, **keywords: Any) -> Any:
        """Runs the command line, and turns errors into words and exit codes."""
        keywords["standalone_mode"] = False
        keywords.setdefault("prog_name", "drill")
        try:
            code = super().main(args, *more, **keywords)
        except HarnessError as error:
            sys.exit(_tell(error))
        except click.exceptions.Abort:
            sys.exit(Exit.INTERRUPTED)
        except KeyboardInterrupt:
            sys.exit(Exit.INTERRUPTED)
        except click.ClickException as error:
            error.show()
            sys.exit(Exit.USAGE)
        except BrokenPipeError:
            os._exit(int(Exit.PASS))
        except OSError as error:
            if error.errno not in FULL:
                sys.exit(_defect())
            sys.exit(_tell(EnvironmentProblem(f"what there was to write can't be written: {error.strerror}")))
        except Exception:
            sys.exit(_defect())
        sys.exit(code if isinstance(code, int) else Exit.PASS)


def _variable(verb: str, option: click.Option) -> str:
    """`MLDRILL_RUN_ACT_AT` for `--act-at` of `drill run`."""
    typed = max(option.opts, key=len).lstrip("-")
    return f"MLDRILL_{verb}_{typed}".upper().replace("-", "_")


def _defect() -> int:
    traceback.print_exc()
    print("drill: this is a defect of mldrill; please report it with the lines above.", file=sys.stderr)
    return int(Exit.INTERNAL)


def _tell(error: HarnessError) -> int:
    print(f"drill: {error.message}", file=sys.stderr)
    for line in getattr(error, "log", ()):
        print(f"    {line}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return int(error.exit)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="drill")
def main() -> None:
    """Break an ML pipeline on purpose; see who notices and who repairs it; score both against the playbook."""
