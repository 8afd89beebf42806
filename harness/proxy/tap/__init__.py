"""Taps: what stands on a way of records, reads them, damages some, and writes them back valid.

A toxic sees bytes, a tap sees records. What every tap has in common is in `damaging`: rows and ids in, damaged values
out, the mask written, all counted. `records` damages the bodies of HTTP messages (`formats` reads and writes them),
`requests` answers, delays or relabels messages; `http` is what those two share.

Always true: what can't be understood, or is beyond a bound, passes byte for byte and is counted by its reason; removing
a tap never waits and never loses a byte; the draws belong to (seed, record id), never to how records came in batches.
"""

from harness.proxy.tap.match import Match
from harness.proxy.tap.tap import Tap

__all__ = ["Match", "Tap"]
