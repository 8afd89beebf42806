"""Time limits of roles that these tests are not about: out of the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline import bus, features, gateway, gateway_ops, ingest, load, redisbus, rollout, serving
from pipeline.monitor import webhook

LONG_S = 60.0
SETTINGS = (
    (gateway.DEFAULTS, ("features_timeout_s", "serving_timeout_s")),
    (features.DEFAULTS, ("store_timeout_s", "ingest_timeout_s", "ttl_s")),
    (serving.DEFAULTS, ("registry_timeout_s",)),
    (bus.DEFAULTS, ("redeliver_after_s",)),
)
LIMITS = (
    (gateway, "BUS_TIMEOUT_S"),
    (gateway_ops, "INGEST_TIMEOUT_S"),
    (ingest, "BUS_TIMEOUT_S"),
    (load, "TIMEOUT_S"),
    (redisbus, "REDELIVER_AFTER_S"),
    (rollout, "CALL_S"),
    (webhook, "ATTEMPT_S_MAX"),
)


@pytest.fixture(scope="module", autouse=True)
def all_the_time_that_there_is() -> Iterator[None]:
    """A machine that stalls for some seconds turns answers into fallbacks, fresh values into stale ones, and what was read
    into what comes again. Tests of just that set a limit of their own."""
    with pytest.MonkeyPatch.context() as patched:
        for defaults, names in SETTINGS:
            for name in names:
                assert name in defaults
                patched.setitem(defaults, name, LONG_S)
        for module, name in LIMITS:
            patched.setattr(module, name, LONG_S)
        yield
