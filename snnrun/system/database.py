"""Checks SQLite files of strangers: SQLite must not touch other files because of them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from snnrun.errors import ConfigError
from snnrun.system.files import own_file

#: Suffixes of the files that SQLite keeps beside a database, and uses again.
BESIDE = ("-journal", "-wal", "-shm")
#: The last bytes of a journal that names another file. SQLite removes that file after a roll-back.
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")


def check(path: Path, *, linked: bool = False) -> None:
    """Check the database ``path``, which need not exist, before SQLite opens it.

    A journal that names another file comes from a transaction over several databases, and ours have none.

    Args:
        linked: ``path`` may be a link, since the user named it. Default false.

    Raises:
        ConfigError: if the database or one of its files is a link or not a regular file, and for a journal that names
            another file.
    """
    if not linked and os.path.lexists(path) and not own_file(path):
        raise ConfigError(f"{path}: expected a database of this run alone, got a link or no file at all; remove it")
    real = path.resolve()  # SQLite keeps its files beside the target of a link
    for place in (real.with_name(real.name + end) for end in BESIDE):
        if not os.path.lexists(place):
            continue
        if not own_file(place):
            raise ConfigError(
                f"{place}: expected a file of the database alone, got a link or no file at all; remove it"
            )
        with place.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_NAMES_ANOTHER)))
            if file.read() == _NAMES_ANOTHER and place.name.endswith("-journal") and size > len(_NAMES_ANOTHER):
                raise ConfigError(
                    f"{place}: expected a journal of this database alone, got one for which SQLite would remove "
                    "another file; remove it"
                )


def tables(path: Path) -> set[str]:
    """The names of the tables in the database ``path``; empty for no file, or an empty one. Writes nothing.

    Raises:
        ConfigError: if :func:`check` raises it, and for a file that is not a database.
    """
    check(path, linked=True)
    if not path.exists():
        return set()
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise ConfigError(f"{path}: expected a database, but it cannot be read: {error}") from error
