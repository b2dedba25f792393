"""SQLite files of a stranger: what SQLite would do outside of them is refused before it opens them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from pathlib import Path

import pytest

from snnrun.errors import ConfigError
from snnrun.system import database

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A database with a journal, as a process leaves it that is killed within a transaction."""
    origin, path = tmp_path / "origin.db", tmp_path / "search.db"
    connection = sqlite3.connect(origin, isolation_level=None)
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("CREATE TABLE t (x)")
    connection.executemany("INSERT INTO t VALUES (?)", [(f"{i:0500d}",) for i in range(100)])
    connection.execute("BEGIN")
    connection.execute("UPDATE t SET x = x || 'changed'")
    for end in ("", "-journal"):
        shutil.copy(f"{origin}{end}", f"{path}{end}")
    connection.close()
    return path


def values(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [x for (x,) in connection.execute("SELECT x FROM t")]
    finally:
        connection.close()


def name_another(path: Path, other: Path) -> None:
    """Let the journal name another file, as that of a transaction over several databases does."""
    name = str(other).encode()
    with Path(f"{path}-journal").open("ab") as file:
        file.write(struct.pack(">I", 1) + name + struct.pack(">II", len(name), sum(name)))
        file.write(bytes.fromhex("d9d505f920a163d7"))


def test_a_journal_of_our_own_is_rolled_back(study: Path) -> None:
    database.check(study)
    assert values(study) == [f"{i:0500d}" for i in range(100)]


@pytest.mark.parametrize("by_link", [False, True])
def test_a_journal_that_would_remove_a_file_is_refused(study: Path, tmp_path: Path, by_link: bool) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    name_another(study, precious)
    path = study
    if by_link:
        (tmp_path / "deep").mkdir()
        path = tmp_path / "deep" / "link.db"
        path.symlink_to(study)
    with pytest.raises(ConfigError, match=r"search\.db-journal"):
        database.check(path, linked=by_link)
    assert precious.exists()
    values(study)
    assert not precious.exists(), "this is how the test knows that SQLite would have removed it"


@pytest.mark.parametrize("end", ["", "-journal", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["link", "second name", "pipe"])
def test_a_link_in_its_place_is_refused(tmp_path: Path, end: str, kind: str) -> None:
    path, precious = tmp_path / "search.db", tmp_path / "precious"
    precious.write_text("mine")
    place = Path(f"{path}{end}")
    if kind == "link":
        place.symlink_to(precious)
    elif kind == "second name":
        place.hardlink_to(precious)
    else:
        os.mkfifo(place)
    with pytest.raises(ConfigError, match=place.name):
        database.check(path)


def test_its_tables_are_read_without_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert database.tables(path) == set()
    assert not path.exists()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cookies (x)")
    connection.close()
    before = path.read_bytes()
    assert database.tables(path) == {"cookies"}
    assert path.read_bytes() == before
    path.write_text("no database, but long enough to be one of a hundred bytes. " * 3)
    with pytest.raises(ConfigError, match=r"a\.db"):
        database.tables(path)
