"""From (scenario, target, seed) to a Plan: every step of a run resolved and timed, or refused by name. Pure.

Problem: what can't work must be refused before anything is started, all of it at once and in the words of the files. So
planning needs no running target: an inventory (what a driver can do, and names) is enough. Rejected: finding out while
running, which breaks a pipeline first and complains afterwards.

Always true: the same inputs give the same plan, byte for byte; a plan holds no name that must still be looked up.
"""

from harness.plan.describe import describe
from harness.plan.lacks import not_declared
from harness.plan.make import make_plan

__all__ = ["describe", "make_plan", "not_declared"]
