"""A tap on a link to Redis: the entries of streams, as they are added (upstream) or read (downstream).

Upstream, commands are held until they are complete: XADD, and where asked for the JSON arguments of scripts (a bus may
add its entries in a Lua script). Downstream, the replies to XREAD, XREADGROUP, XRANGE, XREVRANGE, XCLAIM and
XAUTOCLAIM, also within a transaction. Everything else passes as it comes; so does, byte for byte, what can't be read,
what is larger than `body_bytes` and what takes longer to arrive than `within_ms`, each counted by its reason.

A record is drawn by its own id, else by its entry's id, so that an entry that is delivered again is damaged again in
the same way; only where Redis has yet to give the id (`XADD key *`, scripts) by its ordinal in this tap.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.proxy.stage import Host, Owner, Stage
from harness.proxy.tap import recordpath
from harness.proxy.tap.bounds import OVER_TIME, Bounds, Pace
from harness.proxy.tap.damaging import Damaging, Hit, Undamageable
from harness.proxy.tap.formats.form import Unread, Wanted
from harness.proxy.tap.redis_dialogue import Asked, Dialogue
from harness.proxy.tap.redis_entries import SCRIPTS, Entry, in_reply, in_script, in_xadd
from harness.proxy.tap.redis_records import DocumentHome, Home, home_of
from harness.proxy.tap.redis_values import Splice, Value, parse, spliced, with_times

XADD = b"XADD"
COMMANDS = ("XADD", *sorted(name.decode() for name in SCRIPTS))
"""What may be tapped upstream."""


@dataclass(frozen=True)
class Chosen:
    """Which entries, and where their records are. `keys` is a glob; `field` empty for the entry's own fields."""

    keys: str
    field: str
    record: str
    id_key: str
    commands: tuple[str, ...]

    def pattern(self) -> re.Pattern[bytes]:
        return re.compile(fnmatch.translate(self.keys).encode())


@dataclass(eq=False)
class RedisTap:
    name: str
    stream: str
    chosen: Chosen
    bounds: Bounds
    damaging: Damaging
    spec: dict[str, object]
    lease: str = ""
    messages: int = 0
    messages_damaged: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    dialogues: dict[int, Dialogue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pattern = self.chosen.pattern()
        self._wanted = Wanted(recordpath.parse(self.chosen.record), self.chosen.id_key, self.damaging.columns)
        self._field = self.chosen.field.encode()
        self._commands = frozenset(name.encode() for name in self.chosen.commands)
        self._watcher = _Watcher(self)
        self._pace = Pace(self.bounds.within_ms)

    def owner(self, stream: str) -> Owner | None:
        if stream == self.stream:
            return self
        return self._watcher if self.stream == "downstream" else None

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True

    def stage(self, pipe: Host) -> Stage:
        from harness.proxy.tap.redis_stage import CommandStage, ReplyStage  # they know taps, so not at the top

        return CommandStage(self, pipe) if self.stream == "upstream" else ReplyStage(self, pipe)

    def dialogue(self, ordinal: int) -> Dialogue:
        return self.dialogues.setdefault(ordinal, Dialogue())

    def pass_by(self, reason: str) -> None:
        """Counts what passed unharmed: a record, a message, or the rest of a connection."""
        self.passed[reason] = self.passed.get(reason, 0) + 1

    # what is wanted

    def wants_key(self, key: bytes) -> bool:
        return self._pattern.fullmatch(key) is not None

    def wants_reply(self, asked: Asked) -> bool:
        """Where the key stands in the reply, the reply decides."""
        return asked.shape is not None and (asked.name.startswith(b"XREAD") or self.wants_key(asked.key))

    def wants_command(self, heads: Sequence[bytes]) -> bool:
        name = heads[0].upper() if heads else b""
        if name not in self._commands:
            return False
        return name in SCRIPTS or (len(heads) > 1 and self.wants_key(heads[1]))

    # what it does

    def rewritten(self, data: bytes, rewrite: Callable[[bytes], bytes]) -> bytes:
        """What `rewrite` makes of a whole value, unless values of its size have been taking too long."""
        if not self._pace.fits(len(data)):
            self.pass_by(OVER_TIME)
            return data
        start_ns = time.perf_counter_ns()
        try:
            return rewrite(data)
        except (
            Exception
        ):  # whatever is wrong with a value or a damage: the link's traffic must go on, and it is counted
            self.pass_by("failed")
            return data
        finally:
            self._pace.took(len(data), time.perf_counter_ns() - start_ns)

    def rewritten_command(self, data: bytes) -> bytes:
        """The damaged command, or `data` where nothing in it is to change."""
        words = parse(data).items
        if not all(word.kind == "$" for word in words):
            self.pass_by("not-redis")
            return data
        if words[0].text.upper() == XADD:
            entry = in_xadd(words)
            if entry is None:
                self.pass_by("unknown-options")
                return data
            return self._rewritten(data, self._homes([entry]))
        script = in_script(words)
        if script is None:
            self.pass_by("unknown-options")
            return data
        keys, arguments = script
        if not any(self.wants_key(key) for key in keys):
            return data
        return self._rewritten(data, self._argument_homes(arguments))

    def rewritten_reply(self, data: bytes, answers: Sequence[tuple[Asked | None, Value]]) -> bytes:
        """The same for a reply; `answers` are it, or those in a transaction's, with their commands."""
        homes: list[Found] = []
        for asked, value in answers:
            if value.kind in "_-!":
                continue  # nothing to read, or an error
            entries = in_reply(value, asked)
            if entries is not None:
                homes += self._homes([entry for entry in entries if self.wants_key(entry.key)])
            elif asked is not None and asked.shape is not None:
                self.pass_by("unexpected-reply")
        return self._rewritten(data, homes)

    def _homes(self, entries: Sequence[Entry]) -> list[Found]:
        homes: list[Found] = []
        for entry in entries:
            try:
                homes.append((home_of(entry, self._field, self._wanted), entry))
            except Unread as unread:
                self.pass_by(unread.reason)
        return homes

    def _argument_homes(self, arguments: Sequence[Value]) -> list[Found]:
        """Those that are JSON with records; a script has other arguments too, which is nothing to count."""
        homes: list[Found] = []
        for argument in arguments:
            try:
                home: Home = DocumentHome(argument, self._wanted)
            except Unread:
                continue
            homes.append((home, None))
        return homes

    def _rewritten(self, data: bytes, homes: Sequence[Found]) -> bytes:
        if not homes:
            return data
        self.messages += 1
        rows = [(found, n) for found in homes for n in range(len(found[0].rows))]
        ids = [_id(found, n) for found, n in rows]
        try:
            hits = self._hits([found[0].rows[n] for found, n in rows], ids)
        except Undamageable:
            self.pass_by("not-damageable")
            return data
        by_home: dict[int, tuple[Found, list[Hit]]] = {}
        for hit in hits:
            found, n = rows[hit.row]
            by_home.setdefault(id(found), (found, []))[1].append(replace(hit, row=n))
        changes, done = _written(data, list(by_home.values()))
        if unwritten := self.damaging.unwritten(hits, done):
            self.passed["unwritable"] = self.passed.get("unwritable", 0) + unwritten
        if not changes:
            return data
        damaged = spliced(data, changes)
        self.damaging.wrote(done)
        self.messages_damaged += 1
        return damaged

    def _hits(self, rows: list[dict[str, object]], ids: list[object]) -> list[Hit]:
        """A batch at a time."""
        found: list[Hit] = []
        for at in range(0, len(rows), self.bounds.batch):
            batch = slice(at, at + self.bounds.batch)
            hits = self.damaging.hits(rows[batch], ids[batch])
            found += hits if not at else [replace(hit, row=at + hit.row) for hit in hits]
        return found

    def shown(self) -> dict[str, object]:
        body: dict[str, object] = {
            "name": self.name,
            "kind": "redis",
            "stream": self.stream,
            "keys": self.chosen.keys,
            "field": self.chosen.field,
            "record": self.chosen.record,
            "id": self.chosen.id_key,
            "commands": list(self.chosen.commands),
            "batch": self.bounds.batch,
            "body_bytes": self.bounds.body_bytes,
            "within_ms": self.bounds.within_ms,
            "corrupt": self.spec,
            "counters": {
                "messages": self.messages,
                "messages_damaged": self.messages_damaged,
                "passed": self.passed,
                **self.damaging.counters(),
                "added_ms": self._pace.shown(),
            },
        }
        if self.lease:
            body["lease"] = self.lease
        return body


Found = tuple[Home, Entry | None]
"""Records, and the entry that they stand in; None in a script's arguments."""


def _written(data: bytes, found: Sequence[tuple[Found, list[Hit]]]) -> tuple[list[Splice], list[Hit]]:
    """What is to change in a message, and the hits of which that is true.

    A record that is its entry's only one is dropped or doubled with the entry.
    """
    changes: list[Splice] = []
    done: list[Hit] = []
    times: dict[int, tuple[Value, dict[int, int], list[Hit]]] = {}
    for (home, entry), hits in found:
        changed, written = home.write(hits)
        changes += changed
        done += written
        if not written and hits[0].times != 1 and entry is not None and entry.inside is not None:
            _, of_each, own = times.setdefault(id(entry.inside), (entry.inside, {}, []))
            of_each[entry.at] = hits[0].times
            own += hits
    for inside, of_each, own in times.values():
        changed = with_times(data, inside, of_each)
        changes += changed
        done += own if changed else []
    return changes, done


def _id(found: Found, row: int) -> object:
    """A record's own id, else its entry's; several in one entry are told apart by their position."""
    home, entry = found
    own = home.ids[row]
    entry_id = b"" if entry is None else entry.id
    if not entry_id or (own is not None and not isinstance(own, dict | list)):
        return own
    return entry_id.decode() if len(home.rows) == 1 else f"{entry_id.decode()}/{row}"


class _Watcher:
    """The owner of the stages that watch commands for a tap on replies."""

    def __init__(self, tap: RedisTap) -> None:
        self._tap = tap

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True

    def stage(self, pipe: Host) -> Stage:
        from harness.proxy.tap.redis_stage import WatchStage

        return WatchStage(self._tap, pipe)
