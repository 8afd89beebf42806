"""The words all rooms share, as data: no behaviour, no I/O.

Anything here may be written into a history, a ledger or a plan, so every record is a frozen `msgspec.Struct` of plain
JSON values, and every enum a `StrEnum` whose value is the word people write in files.
"""
