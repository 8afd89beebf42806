"""One sample of golden requests: sent together, as users would, and judged by their known answers.

The sample ends when its last request is answered or given up; its bracket is its resolution. Latency is the 75th percentile
(nearest rank) of the answered ones: one straggler of eight on a busy host is no outage, one slow replica of two is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec
import urllib3

from harness.clock import now_ns
from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.observe.config import GoldenConfig, GoldenRequest

LATENCY_QUANTILE = 0.75
BODY_MAX = 1 << 20


class Answered(msgspec.Struct, frozen=True):
    """What came of one golden request. `answer` None: no usable answer."""

    seconds: float
    ok: bool
    answer: Mapping[str, Any] | None = None


def ask(pool: urllib3.PoolManager, config: GoldenConfig, request: GoldenRequest) -> Answered:
    """Sends one golden request; whatever goes wrong is an answer too: not ok."""
    began = now_ns()
    try:
        response = pool.request(
            request.method,
            config.base_url + request.path,
            body=None if request.body is None else json.dumps(request.body).encode(),
            headers={"Content-Type": "application/json"},
            timeout=urllib3.Timeout(total=config.timeout_s),
            retries=False,
        )
        seconds = (now_ns() - began) / 1e9
        if not 200 <= response.status < 300 or seconds > config.timeout_s:
            return Answered(seconds=seconds, ok=False)
        answer = json.loads(response.data[:BODY_MAX])
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return Answered(seconds=(now_ns() - began) / 1e9, ok=False)
    return Answered(seconds=seconds, ok=True, answer=answer if isinstance(answer, dict) else {})


def sample(pool: urllib3.PoolManager, config: GoldenConfig, executor: Executor) -> Sample:
    """Sends all golden requests at once and judges them."""
    began = now_ns()
    answers = list(executor.map(lambda request: ask(pool, config, request), config.requests))
    ended = now_ns()
    judged = judge(config, answers)
    return msgspec.structs.replace(judged, t_ns=ended, res_ns=ended - began)


def judge(config: GoldenConfig, answers: Sequence[Answered]) -> Sample:
    """The sample that these answers make (its times still 0). Pure; `answers` are in the order of the requests."""
    good = [(request, item) for request, item in zip(config.requests, answers, strict=True) if item.ok]
    wrong = sum(1 for request, item in good if not _right(request, item))
    fallback = sum(1 for _, item in good if config.fallback_field and _field(item, config.fallback_field) is True)
    values: dict[str, float | None] = {}
    if SliKind.AVAILABILITY in config.kinds:
        values[SliKind.AVAILABILITY] = len(good) / len(answers)
    if SliKind.LATENCY in config.kinds:
        values[SliKind.LATENCY] = quantile([item.seconds for _, item in good], LATENCY_QUANTILE)
    if SliKind.CORRECTNESS in config.kinds:
        values[SliKind.CORRECTNESS] = 1 - wrong / len(good) if good else None
    if SliKind.FALLBACK_SHARE in config.kinds:
        values[SliKind.FALLBACK_SHARE] = fallback / len(good) if good else None
    if SliKind.FRESHNESS in config.kinds:
        values[SliKind.FRESHNESS] = _worst_age(config, [item for _, item in good])
    slow = 0
    if config.latency_max_s is not None:
        slow = sum(1 for _, item in good if item.seconds > config.latency_max_s)
    return Sample(
        t_ns=0, src="prober", values=values, sent=len(answers), ok=len(good), wrong=wrong, fallback=fallback, slow=slow
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile: the smallest value that at least `share` of the values don't exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _right(request: GoldenRequest, item: Answered) -> bool:
    return all(_field(item, name) == wanted for name, wanted in request.expect.items())


def _field(item: Answered, name: str) -> Any:
    return item.answer.get(name) if item.answer is not None else None


def _worst_age(config: GoldenConfig, good: Sequence[Answered]) -> float | None:
    field = config.freshness_field or ""
    ages = [age for item in good if isinstance(age := _field(item, field), int | float) and math.isfinite(age)]
    return float(max(ages)) if ages else None
