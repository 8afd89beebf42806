"""How long a history of 1,000,000 events takes to read and to score. Prints the figures; asserts no time.

The events are mixed as a long run has them: readings of the witness most often, then samples, timers, gauges and load; once
without record readings, once with the decision log of 50 requests a second, whose two million records outweigh the rest.
Run it with `make bench`, or by itself.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from harness.contract.words import Effect
from harness.history import events as e
from harness.history.lines import encode_line
from harness.history.reader import read
from harness.score import encode, score
from tests.golden.build import GOOD, WRONG, bad_model, header, ns

EVENTS = 1_000_000
PER_SECOND = 24


def write(path: Path, count: int, *, records: int) -> None:
    """bad-model-version without a response, going on until there are `count` events."""
    story = bad_model(responds=False)
    told = [event for event in story.told if event.t_ns < ns(13.5)]
    ending = [event for event in story.told if event.t_ns >= ns(13.5)]
    seconds = (count - len(story.told)) / PER_SECOND
    shift = round(seconds * 1e9)
    with path.open("wb") as file:
        file.write(encode_line(header(story.plan)))
        file.writelines(encode_line(event) for event in told)
        for i in range(count - len(story.told)):
            file.write(encode_line(filler(i, ns(13.5) + round(i / PER_SECOND * 1e9), records=records)))
        for event in ending:
            moved = type(event)(
                **{f: getattr(event, f) for f in event.__struct_fields__} | {"t_ns": event.t_ns + shift}
            )
            file.write(encode_line(moved))


def filler(i: int, t_ns: int, *, records: int) -> e.AnyEvent:
    """The i-th of `PER_SECOND` events of a second."""
    match i % PER_SECOND:
        case 0 | 12:
            return e.Sample(t_ns=t_ns, res_ns=20_000_000, values=WRONG if i % 5 else GOOD, sent=8, ok=8, wrong=5)
        case 1:
            return e.LoadBucket(
                t_ns=t_ns, res_ns=10**9, scheduled=50, ok=50, failed=0, latency_ms={"p50": 4.0, "p99": 31.0}
            )
        case 2:
            return e.Gauges(t_ns=t_ns, values={f"gauge_{n}": n / 7 for n in range(12)})
        case 3 | 15 if records:
            rows = [{"id": f"{i}-{n}", "model_version": "2", "decision": "decline"} for n in range(records)]
            return e.Records(t_ns=t_ns, res_ns=10_000_000, reading="decisions", records=rows)
        case 4:
            return e.ClockPair(t_ns=t_ns, source="wall", wall_ns=t_ns, error_ns=1_000)
        case 5:
            return e.Lag(t_ns=t_ns, worst_ns=200_000)
        case n if n % 2:
            return e.WitnessRead(t_ns=t_ns, res_ns=10_000_000, fault=0, effect=Effect.PRESENT, detail={"version": "2"})
        case _:
            return e.TimerFired(t_ns=t_ns, name="tick")


def measure(*, records: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        write(path, EVENTS, records=records)
        wall, start = time.perf_counter(), time.process_time()
        history = read(path)
        middle = time.process_time()
        card = score(history)
        encode(card)
        end, wall = time.process_time(), time.perf_counter() - wall
        size = path.stat().st_size / 1e6
    return (
        f"{len(history.items):,} events, {size:.0f} MB, {records} records a reading: CPU {end - start:.2f} s"
        f" (read {middle - start:.2f}, scored {end - middle:.2f}), wall {wall:.2f} s; to beat: 3 s; {card.verdict}"
    )


def main() -> None:
    for records in (0, 25):
        print("\n" + measure(records=records))


def test_bench_score() -> None:
    main()


if __name__ == "__main__":
    main()
