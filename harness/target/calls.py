"""Carries out what target.yaml declares as `http` or `exec`, with typed arguments, time limits and no secrets in
words.

Works for every driver: it is given names to fill in and knows nothing of processes. Commands run without a shell,
in the target's folder, in a group of their own that is ended with them. Always true: an argument that isn't
declared, or is of another type, is refused before anything is sent.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError
from harness.spec.base import parse_duration
from harness.spec.target import Argument, ExecCall, HttpCall, TargetSpec
from harness.target import http
from harness.target.interpolate import fill, fill_json, fill_url

OUTPUT_BYTES_MAX = 1024 * 1024
SECRET_NAME = re.compile(r"(secret|token|passw|credential|api_?key|private)", re.IGNORECASE)
USER_INFO = re.compile(r"(://)[^/@\s]+@")
HIDDEN = "***"


def call_http(
    call: HttpCall, names: Mapping[str, Json], *, where: str, timeout_s: float | None = None
) -> dict[str, Json]:
    """The answer as an object. `timeout_s` holds where the call doesn't give one of its own."""
    limit = call.timeout if timeout_s is None or "timeout" in call.model_fields_set else timeout_s
    body = None if call.json_ is None else fill_json(call.json_, names, where=where)
    return as_object(
        http.ask(call.method, fill_url(call.url, names, where=where), body=body, timeout_s=limit, ok=call.ok)
    )


def call_exec(
    call: ExecCall, names: Mapping[str, Json], *, folder: Path, where: str, timeout_s: float | None = None
) -> dict[str, Json]:
    """The standard output as an object; text that is no JSON becomes `{"output": text}`. Raises `EnvironmentProblem`."""
    limit = call.timeout if timeout_s is None or "timeout" in call.model_fields_set else timeout_s
    command = [fill(part, names, where=where) for part in call.command]
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentProblem(f"{where}: {command[0]} can't be run: {error.strerror}") from None
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end_group(process)
        raise EnvironmentProblem(f"{where}: {command[0]} did not end within {limit:g} s") from None
    if process.returncode != 0:
        words = err[-http.SHOWN_MAX :].decode(errors="replace").strip()
        raise EnvironmentProblem(f"{where}: {command[0]} ended with {process.returncode}: {words}")
    try:
        return as_object(msgspec.json.decode(out[:OUTPUT_BYTES_MAX]))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {"output": out[:OUTPUT_BYTES_MAX].decode(errors="replace").strip()}


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # not yet waited for, so the group's number is still its own
    process.communicate()


def as_object(answer: Json) -> dict[str, Json]:
    """An answer that is no object is wrapped, so that playbooks always have fields to name."""
    if answer is None:
        return {}
    return answer if isinstance(answer, dict) else {"result": answer}


def checked(
    arguments: Mapping[str, Json],
    declared: Mapping[str, Argument],
    *,
    what: str,
    services: Collection[str],
    links: Collection[str],
) -> dict[str, Json]:
    """All declared arguments, defaults filled in, None where optional and not given. Raises `UsageError`."""
    for name in arguments:
        if name not in declared:
            raise UsageError(f"{what}: unknown argument '{name}'. Known: {', '.join(sorted(declared)) or 'none'}")
    filled = {}
    for name, argument in declared.items():
        value = arguments.get(name, argument.default)
        if value is None:
            if argument.required:
                raise UsageError(f"{what}: argument '{name}' ({argument.type}) is required")
        else:
            value = _typed(value, argument, what=f"{what}: argument '{name}'", services=services, links=links)
        filled[name] = value
    return filled


def _typed(value: Json, argument: Argument, *, what: str, services: Collection[str], links: Collection[str]) -> Json:
    known: Mapping[str, Collection[str]] = {"service": services, "link": links}
    if argument.choices and value not in argument.choices:
        raise UsageError(f"{what}: {value!r} is not legal; legal: {', '.join(map(str, argument.choices))}")
    if argument.type in known and value not in known[argument.type]:
        raise UsageError(
            f"{what}: unknown {argument.type} {value!r}. Known: {', '.join(sorted(known[argument.type])) or 'none'}"
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match argument.type:
        case "number" if not number:
            pass
        case "integer" if not (number and float(value).is_integer()):
            pass
        case "boolean" if not isinstance(value, bool):
            pass
        case "string" if not isinstance(value, str):
            pass
        case "version":
            return str(value)
        case "duration":
            return value if number else _seconds(value, what)
        case _:
            return value
    raise UsageError(f"{what}: {value!r} is no {argument.type}")


def _seconds(value: Json, what: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None


def redacted(spec: TargetSpec) -> dict[str, Json]:
    """The description without secrets: values whose name speaks of one, and passwords inside addresses."""
    return dict(_redact(spec.model_dump(mode="json", by_alias=True, exclude_unset=True)))


def _redact(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact(item, name) for item in value]
    if isinstance(value, str):
        return HIDDEN if SECRET_NAME.search(name) else USER_INFO.sub(rf"\1{HIDDEN}@", value)
    return value
