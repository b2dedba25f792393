"""SQLite files that may be a stranger's: what SQLite would do for them outside of themselves is refused."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from snnrun.errors import ConfigError
from snnrun.system.files import own_file

#: What SQLite keeps beside a file, and takes up where it was left.
BESIDE = ("-journal", "-wal", "-shm")
#: The last bytes of a journal that names another file. SQLite removes that file, whatever it is, after a roll-back.
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")


def check(path: Path, *, linked: bool = False) -> None:
    """Look at the database ``path``, which need not exist, before SQLite opens it.

    A journal that names another file comes from a transaction over several databases, and ours have none.

    Args:
        linked: whether ``path`` may be a link, since the user named it. Default false.

    Raises:
        ConfigError: for a link or no file at all in the place of the database or of what belongs to it, and for a
            journal that names another file.
    """
    if not linked and os.path.lexists(path) and not own_file(path):
        raise ConfigError(f"{path}: expected a database of this run alone, got a link or no file at all; remove it")
    real = path.resolve()  # SQLite keeps its files beside what a link leads to
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
    """The names of the tables in the database ``path``; none where there is no file, or an empty one. Writes nothing.

    Raises:
        ConfigError: for what :func:`check` refuses, and for a file that is no database.
    """
    check(path, linked=True)
    if not path.exists():
        return set()
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise ConfigError(f"{path}: expected a database, but it cannot be read: {error}") from error
