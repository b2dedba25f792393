"""What a tracker is expected to hold."""

from __future__ import annotations

from collections.abc import Sequence

from snnrun.tracker import Record
from snnrun.tracker.base import flat


def expected(records: Sequence[Record], kind: str) -> list[dict[str, str]]:
    """The rows of the table of one kind of record."""
    words = {True: "true", False: "false"}
    return [
        {
            name: words[value] if isinstance(value, bool) else repr(value)
            for name, value in flat(record)
            if name != "kind"
        }
        for record in records
        if record["kind"] == kind
    ]
