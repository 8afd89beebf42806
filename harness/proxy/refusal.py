"""What the API refuses, as data: a status and a message in Toxiproxy's form, and `did you mean` for our additions."""

from __future__ import annotations

from collections.abc import Iterable


class Refusal(Exception):  # noqa: N818 - it is an answer to a client, not a failure of the proxy
    """An API call that is answered with an error. `status` is HTTP's, `message` goes into `{"error": ...}`."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def bad_body(what: str) -> Refusal:
    return Refusal(f"bad request body: {what}")


def unknown(what: str, value: str, *, known: Iterable[str]) -> str:
    """`unknown WHAT 'value'. Did you mean 'x'? Known: ...`, the form of all our messages."""
    from difflib import get_close_matches  # only when something is wrong: it costs milliseconds to import

    names = list(known)
    near = get_close_matches(value, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {what} '{value[:100]}'.{hint} Known: {', '.join(names)}"


PROXY_NOT_FOUND = ("proxy not found", 404)
TOXIC_NOT_FOUND = ("toxic not found", 404)
TAP_NOT_FOUND = ("tap not found", 404)
LEASE_NOT_FOUND = ("lease not found", 404)
PROXY_EXISTS = ("proxy already exists", 409)
TOXIC_EXISTS = ("toxic already exists", 409)
TAP_EXISTS = ("tap already exists", 409)
INVALID_STREAM = ("stream was invalid, can be either upstream or downstream", 400)
INVALID_TOXIC_TYPE = ("invalid toxic type", 400)


def refuse(kind: tuple[str, int]) -> Refusal:
    return Refusal(kind[0], status=kind[1])
