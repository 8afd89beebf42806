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
from harness.proxy.tap.redis_records import Changes, DocumentHome, Home, home_of
from harness.proxy.tap.redis_values import Value, parse, with_replaced

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
        homes: list[tuple[Home, bytes]] = []
        for asked, value in answers:
            if value.kind in "_-!":
                continue  # nothing to read, or an error
            entries = in_reply(value, asked)
            if entries is not None:
                homes += self._homes([entry for entry in entries if self.wants_key(entry.key)])
            elif asked is not None and asked.shape is not None:
                self.pass_by("unexpected-reply")
        return self._rewritten(data, homes)

    def _homes(self, entries: Sequence[Entry]) -> list[tuple[Home, bytes]]:
        homes: list[tuple[Home, bytes]] = []
        for entry in entries:
            try:
                homes.append((home_of(entry, self._field, self._wanted), entry.id))
            except Unread as unread:
                self.pass_by(unread.reason)
        return homes

    def _argument_homes(self, arguments: Sequence[Value]) -> list[tuple[Home, bytes]]:
        """Those that are JSON with records; a script has other arguments too, which is nothing to count."""
        homes: list[tuple[Home, bytes]] = []
        for argument in arguments:
            try:
                home: Home = DocumentHome(argument, self._wanted)
            except Unread:
                continue
            homes.append((home, b""))
        return homes

    def _rewritten(self, data: bytes, homes: Sequence[tuple[Home, bytes]]) -> bytes:
        if not homes:
            return data
        self.messages += 1
        rows = [(home, n) for home, _ in homes for n in range(len(home.rows))]
        ids = [_id(home, n, entry_id) for home, entry_id in homes for n in range(len(home.rows))]
        try:
            hits = self._hits([home.rows[n] for home, n in rows], ids)
        except Undamageable:
            self.pass_by("not-damageable")
            return data
        by_home: dict[int, tuple[Home, list[Hit]]] = {}
        for hit in hits:
            home, n = rows[hit.row]
            by_home.setdefault(id(home), (home, []))[1].append(replace(hit, row=n))
        changes: Changes = []
        for home, its in by_home.values():
            changed, written = home.write(its)
            changes += changed
            if values := sum(len(hit.values) for hit in its) - sum(len(hit.values) for hit in written):
                self.passed["unwritable"] = self.passed.get("unwritable", 0) + values
            self.damaging.wrote(written)
        self.messages_damaged += bool(changes)
        return with_replaced(data, changes) if changes else data

    def _hits(self, rows: list[dict[str, object]], ids: list[object]) -> list[Hit]:
        """A batch at a time."""
        found: list[Hit] = []
        for at in range(0, len(rows), self.bounds.batch):
            batch = slice(at, at + self.bounds.batch)
            found += [replace(hit, row=at + hit.row) for hit in self.damaging.hits(rows[batch], ids[batch])]
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


def _id(home: Home, row: int, entry_id: bytes) -> object:
    """A record's own id, else its entry's; several in one entry are told apart by their position."""
    own = home.ids[row]
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
