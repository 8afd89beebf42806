"""Calls on folder links and their taps. Paths are absolute, and so are both directories' rights: the proxy's own."""

from __future__ import annotations

import os
from collections.abc import Mapping

from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler, updates
from harness.proxy.folder.link import Folders, Route
from harness.proxy.folder.tap import NAMES, SUFFIX, FolderTap
from harness.proxy.lease import Leases
from harness.proxy.refusal import Refusal, bad_body, unknown
from harness.proxy.tap import bounds, recordpath
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.formats import Wanted
from harness.proxy.tap.masklog import PAGE_MAX

CURSOR_MAX = 2**62
PATH_CHARS_MAX = 4096
SETTLE_MS = 200
SETTLE_MS_MAX = 3_600_000
WITHIN_MS_MAX = 3_600_000
KEYS = ("name", "from", "to", "pattern", "settle_ms", "enabled")
UPDATE_KEYS = ("enabled", "lease")
TAP_KEYS = ("name", "format", "record", "id", "corrupt", "batch", "body_bytes", "within_ms", "lease")


class FolderCalls:
    def __init__(self, folders: Folders, leases: Leases) -> None:
        self._folders = folders
        self._leases = leases

    def routes(self) -> list[tuple[str, dict[str, Handler]]]:
        folder = "/folders/([^/]+)"
        tap = folder + "/taps/([^/]+)"
        return [
            ("/folders", {"GET": self._list, "POST": self._create}),
            (folder, updates(self._update) | {"GET": self._show, "DELETE": self._delete}),
            (folder + "/taps", {"GET": self._tap_list, "POST": self._tap_create}),
            (tap, {"GET": self._tap_show, "DELETE": self._tap_delete}),
            (tap + "/mask", {"GET": self._tap_mask}),
        ]

    def _list(self, call: Call) -> Answer:
        return Answer(200, {name: link.shown() for name, link in sorted(self._folders.by_name.items())})

    def _create(self, call: Call) -> Answer:
        fields = call.fields()
        checked.known_keys(fields, "field", KEYS)
        name = checked.text(fields, "name")
        if not name:
            raise Refusal("missing required field: name")
        route = Route(
            name=name,
            source=_path(fields, "from"),
            target=_path(fields, "to"),
            pattern=checked.text(fields, "pattern", "*"),
            settle_ms=checked.whole(fields, "settle_ms", SETTLE_MS, least=0, most=SETTLE_MS_MAX),
        )
        link = self._folders.make(route, enabled=checked.flag(fields, "enabled", True))
        return Answer(201, link.shown())

    def _show(self, call: Call) -> Answer:
        return Answer(200, self._folders.get(call.names[0]).shown())

    def _update(self, call: Call) -> Answer:
        link = self._folders.get(call.names[0])
        fields = call.fields()
        checked.known_keys(fields, "field", UPDATE_KEYS)
        lease = checked.text(fields, "lease")
        self._leases.require(lease)
        if fields.get("enabled") is not None:
            link.enable(checked.flag(fields, "enabled", True), lease=lease)
        return Answer(200, link.shown())

    def _delete(self, call: Call) -> Answer:
        self._folders.remove(call.names[0])
        return Answer(204)

    def _tap_list(self, call: Call) -> Answer:
        return Answer(200, [tap.shown() for tap in self._folders.get(call.names[0]).taps])

    def _tap_create(self, call: Call) -> Answer:
        link = self._folders.get(call.names[0])
        fields = call.fields()
        checked.known_keys(fields, "field", TAP_KEYS)
        name, lease = checked.text(fields, "name"), checked.text(fields, "lease")
        if not name:
            raise Refusal("missing required field: name")
        form = checked.text(fields, "format", SUFFIX)
        if form not in (SUFFIX, *NAMES):
            raise Refusal(unknown("format", form, known=(SUFFIX, *NAMES)))
        record = checked.text(fields, "record", "$")
        path = recordpath.parse(record)
        if path and form == "csv":
            raise Refusal(f"record '{record}': only JSON has a record path")
        limits = _bounds(fields)
        self._leases.require(lease)
        spec = checked.as_object(fields.get("corrupt"), "corrupt")
        from harness.proxy.tap.damage import damage_of  # numpy, only for those who tap records

        columns, damage = damage_of(spec)
        tap = FolderTap(
            name=name,
            form=form,
            record=record,
            wanted=Wanted(path, checked.text(fields, "id", "id"), columns),
            damage=damage,
            bounds=limits,
            spec=spec,
            log=link.log_for(name),
            lease=lease,
        )
        link.add_tap(tap)
        return Answer(200, tap.shown())

    def _tap_show(self, call: Call) -> Answer:
        return Answer(200, self._folders.get(call.names[0]).tap(call.names[1]).shown())

    def _tap_delete(self, call: Call) -> Answer:
        link = self._folders.get(call.names[0])
        link.remove_tap(link.tap(call.names[1]))
        return Answer(204)

    def _tap_mask(self, call: Call) -> Answer:
        """Also of a tap that is gone, until the reset."""
        log = self._folders.get(call.names[0]).mask_log(call.names[1])
        limit = call.number("limit", 1000, most=PAGE_MAX)
        return Answer(200, log.page(call.number("after", 0, most=CURSOR_MAX), limit))


def _bounds(fields: Mapping[str, object]) -> Bounds:
    """`within_ms` is of a whole file here, and 0 (the default) is no bound: files may be of any length."""
    return Bounds(
        batch=checked.whole(fields, "batch", bounds.BATCH, least=1, most=bounds.BATCH_MAX),
        body_bytes=checked.whole(fields, "body_bytes", bounds.BODY_BYTES, least=1, most=bounds.BODY_BYTES_MAX),
        within_ms=checked.whole(fields, "within_ms", 0, least=0, most=WITHIN_MS_MAX),
    )


def _path(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if not value:
        raise Refusal(f"missing required field: {key}")
    if not isinstance(value, str) or len(value) > PATH_CHARS_MAX or "\0" in value or not os.path.isabs(value):
        raise bad_body(f"{key} must be the absolute path of a directory")
    return os.path.normpath(value)
