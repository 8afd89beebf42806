"""What can go wrong when the harness talks to a fault proxy."""

from __future__ import annotations

from harness.errors import HarnessError


class ProxyUnreachable(HarnessError):  # noqa: N818 - the exception may be a noun, as in the tree above it
    """No answer within the time limit, or none that is HTTP."""


class ProxyRefused(HarnessError):  # noqa: N818 - the exception may be a noun here too
    """The proxy answered with an error. `status` is HTTP's; `message` is what the proxy said."""

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
