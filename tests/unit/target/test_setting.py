"""A value that faults inject and operators change: who may take it back."""

from __future__ import annotations

import pytest

from harness.contract.undo import UndoOutcome
from harness.target.embedded.setting import Setting


def injected(value: object, *, before: object = None) -> Setting:
    setting = Setting(before)
    setting.inject(value)
    return setting


def test_an_injected_value_is_restored() -> None:
    setting = injected(8)
    assert setting.undo(injected=8, restore=None) is UndoOutcome.RESTORED
    assert (setting.value, setting.injected) == (None, False)


def test_a_repair_is_never_overwritten() -> None:
    setting = injected(8)
    setting.operate(512)
    assert setting.undo(injected=8, restore=None) is UndoOutcome.REPAIRED
    assert setting.value == 512


def test_a_repair_to_the_old_value_needs_nothing() -> None:
    setting = injected(8)
    setting.operate(None)
    assert setting.undo(injected=8, restore=None) is UndoOutcome.ALREADY


def test_the_second_undo_finds_it_done() -> None:
    setting = injected(8)
    setting.undo(injected=8, restore=None)
    assert setting.undo(injected=8, restore=None) is UndoOutcome.ALREADY


def test_a_lease_that_ends_takes_back_to_what_stood_before_the_first_injection() -> None:
    setting = injected(8, before=64)
    setting.inject(4)
    assert setting.expire()
    assert setting.value == 64
    assert not setting.expire()


@pytest.mark.parametrize("by_operator", [True, False])
def test_a_lease_leaves_alone_what_is_no_injection(by_operator: bool) -> None:
    setting = injected(8)
    if by_operator:
        setting.operate(512)
    else:
        setting.undo(injected=8, restore=None)
    before = setting.value
    assert not setting.expire()
    assert setting.value == before
