"""One sample of golden requests: sent together, as users would, and judged by their known answers.

The sample ends when its last request is answered or given up; its bracket is its resolution. Latency is the 75th percentile
(nearest rank) of the answered ones: one straggler of eight on a busy host is no outage, one slow replica of two is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, wait
from typing import Any

import msgspec
import urllib3

from harness.clock import now_ns
from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.observe.asking import NoAnswerError
from harness.observe.asking import ask as ask_bounded
from harness.observe.config import GoldenConfig, GoldenRequest

LATENCY_QUANTILE = 0.75
BODY_MAX = 1 << 20
SLACK_S = 0.25
"""How much longer than a request's own time limit a sample waits for it."""


class Answered(msgspec.Struct, frozen=True):
    """What came of one golden request. `answer` None: no usable answer."""

    seconds: float
    ok: bool
    answer: Mapping[str, Any] | None = None


def ask(pool: urllib3.PoolManager, config: GoldenConfig, request: GoldenRequest) -> Answered:
    """Sends one golden request; whatever goes wrong is an answer too: not ok."""
    began = now_ns()
    try:
        answer = ask_bounded(
            pool,
            request.method,
            config.base_url + request.path,
            body=None if request.body is None else json.dumps(request.body).encode(),
            timeout_s=config.timeout_s,
            bytes_max=BODY_MAX,
        )
        seconds = (now_ns() - began) / 1e9
        if not 200 <= answer.status < 300 or seconds > config.timeout_s:
            return Answered(seconds=seconds, ok=False)
        told = json.loads(answer.body)
    except (NoAnswerError, ValueError, RecursionError):
        return Answered(seconds=(now_ns() - began) / 1e9, ok=False)
    return Answered(seconds=seconds, ok=True, answer=told if isinstance(told, dict) else {})


def sample(pool: urllib3.PoolManager, config: GoldenConfig, executor: Executor) -> Sample:
    """Sends all golden requests at once and judges them. What isn't answered by the end of the time limit is given up."""
    began = now_ns()
    sent = [executor.submit(ask, pool, config, request) for request in config.requests]
    answered, given_up = wait(sent, timeout=config.timeout_s + SLACK_S)
    for future in given_up:
        future.cancel()
    ended = now_ns()
    lost = Answered(seconds=(ended - began) / 1e9, ok=False)
    judged = judge(config, [future.result() if future in answered else lost for future in sent])
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
