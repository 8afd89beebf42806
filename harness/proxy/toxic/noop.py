"""Does nothing. Toxiproxy has it too; it costs what any toxic costs, which is what it is good for."""

from __future__ import annotations

from harness.proxy.toxic.parts.base import BaseStage
from harness.proxy.toxic.parts.declaration import Declaration

TOXIC = Declaration("noop", stage=BaseStage)
