"""What the registry remembers, and where a rollback may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.registry_store import Kind, MoveRefusedError, NotThereError, RegistryStore, TakenError


@pytest.fixture
def store(tmp_path: Path) -> RegistryStore:
    made = RegistryStore(tmp_path / "registry.db")
    made.create_model("risk")
    return made


def add(store: RegistryStore, count: int = 1) -> None:
    for _ in range(count):
        store.create_version("risk", source="mlflow-artifacts:/risk/x.onnx")


def promote(store: RegistryStore, version: int) -> bool:
    return store.promote("risk", "champion", version=version, actor="test", reason="")


def rollback(store: RegistryStore, to: int | None = None) -> bool:
    return store.rollback("risk", "champion", to=to, actor="test", reason="")


def champion(store: RegistryStore) -> int | None:
    return store.aliased("risk", "champion")


def test_rollback_goes_to_the_version_before_the_last_promotion_and_a_second_changes_nothing(
    store: RegistryStore,
) -> None:
    add(store, 3)
    for version in (1, 2, 3):
        promote(store, version)
    assert (rollback(store), champion(store)) == (True, 2)
    assert (rollback(store), champion(store)) == (False, 2)
    assert [(m.version, m.previous, m.kind) for m in store.moves()][-1] == (2, 3, Kind.ROLLBACK)


def test_rollback_after_a_rollback_by_hand_changes_nothing(store: RegistryStore) -> None:
    add(store, 3)
    for version in (1, 2, 3):
        promote(store, version)
    rollback(store, to=1)
    assert (rollback(store), champion(store)) == (False, 1)


def test_rollback_never_ends_on_a_version_marked_bad(store: RegistryStore) -> None:
    add(store, 3)
    promote(store, 1)
    promote(store, 2)
    rollback(store)
    promote(store, 3)
    store.pin("risk", "champion", version=3, actor="test", reason="")
    store.unpin("risk", "champion")
    assert store.bad("risk", "champion") == {2}
    with pytest.raises(MoveRefusedError, match="marked bad"):
        rollback(store, to=2)
    assert champion(store) == 3


def test_rollback_skips_a_bad_version_that_stood_before_the_last_promotion(store: RegistryStore) -> None:
    add(store, 4)
    promote(store, 1)
    promote(store, 2)
    promote(store, 3)
    rollback(store)  # 3 is bad, 2 stands
    rollback(store, to=1)  # 2 is bad, 1 stands
    store.delete_alias("risk", "champion", actor="test")
    promote(store, 4)
    assert store.previous_good("risk", "champion") == 1
    assert (rollback(store), champion(store)) == (True, 1)


def test_promoting_a_bad_version_again_clears_its_mark(store: RegistryStore) -> None:
    add(store, 2)
    promote(store, 1)
    promote(store, 2)
    rollback(store)
    promote(store, 2)
    assert store.bad("risk", "champion") == frozenset()


def test_rollback_with_nothing_before_is_refused(store: RegistryStore) -> None:
    add(store)
    promote(store, 1)
    with pytest.raises(MoveRefusedError, match="no good version"):
        rollback(store)


def test_promoting_the_champion_again_is_no_move(store: RegistryStore) -> None:
    add(store)
    assert (promote(store, 1), promote(store, 1), len(store.moves())) == (True, False, 1)


def test_a_pin_moves_holds_and_refuses_until_unpinned(store: RegistryStore) -> None:
    add(store, 2)
    promote(store, 2)
    assert store.pin("risk", "champion", version=1, actor="test", reason="") is True
    assert store.pin("risk", "champion", version=1, actor="test", reason="") is False
    for change in (lambda: promote(store, 2), lambda: store.delete_alias("risk", "champion", actor="test")):
        with pytest.raises(MoveRefusedError, match="pinned to version 1"):
            change()
    assert champion(store) == 1
    assert (store.unpin("risk", "champion"), store.unpin("risk", "champion")) == (True, False)
    assert promote(store, 2)


def test_a_refused_pin_leaves_the_old_pin(store: RegistryStore) -> None:
    add(store)
    store.pin("risk", "champion", version=1, actor="test", reason="")
    with pytest.raises(NotThereError):
        store.pin("risk", "champion", version=9, actor="test", reason="")
    assert store.pinned("risk", "champion") == 1


def test_what_is_not_there_is_said_so(store: RegistryStore) -> None:
    with pytest.raises(NotThereError):
        promote(store, 7)
    with pytest.raises(NotThereError):
        store.aliased("other", "champion")
    with pytest.raises(NotThereError):
        store.create_version("other", source="x")
    with pytest.raises(TakenError):
        store.create_model("risk")


def test_reset_keeps_the_first_champion_and_no_number_or_cursor_comes_twice(store: RegistryStore) -> None:
    store.create_version("risk", source="mlflow-artifacts:/risk/one.onnx")
    promote(store, 1)
    store.create_version("risk", source="mlflow-artifacts:/risk/two.onnx")
    store.create_version("risk", source="mlflow-artifacts:/risk/one.onnx")
    promote(store, 2)
    store.pin("risk", "champion", version=3, actor="test", reason="")
    before = store.moves()[-1].cursor
    assert store.reset("risk", "champion") == ["mlflow-artifacts:/risk/two.onnx"]
    assert store.reset("risk", "champion") == []
    assert [version.version for version in store.versions()] == [1]
    assert (champion(store), store.pinned("risk", "champion")) == (1, None)
    assert [move.version for move in store.moves()] == [1]
    assert store.create_version("risk", source="x").version == 4
    promote(store, 4)
    assert store.moves(after=before)[0].cursor > before


def test_everything_is_there_after_opening_the_file_again(store: RegistryStore, tmp_path: Path) -> None:
    add(store, 2)
    promote(store, 1)
    promote(store, 2)
    again = RegistryStore(tmp_path / "registry.db")
    assert (champion(again), again.moves(), again.versions()) == (2, store.moves(), store.versions())
