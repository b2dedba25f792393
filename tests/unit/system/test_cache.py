"""Where the user's cache is, and that a home which cannot be written does no harm."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from snnrun.system.cache import cache_dir, fault, stranger


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SNNRUN_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


def test_the_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == home / ".cache" / "snnrun"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_dir() == home / "xdg" / "snnrun"
    monkeypatch.setenv("SNNRUN_CACHE_DIR", str(home / "own" / "folder"))
    assert cache_dir() == home / "own" / "folder"
    assert list((home / "own" / "folder").iterdir()) == []


@pytest.mark.parametrize("base", ["", "relative/folder"])
def test_a_base_that_is_not_absolute_is_ignored(base: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert cache_dir() == home / ".cache" / "snnrun"


def test_none_where_nothing_can_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("SNNRUN_CACHE_DIR", str(home / "file" / "below"))
    assert cache_dir() is None


def test_none_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    assert cache_dir() is None


def test_none_in_a_folder_that_may_not_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**where: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert cache_dir() is None


def mode(path: Path, bits: int) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(bits)
    return path


@pytest.fixture
def open_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As most homes are: others may look into it. Folders of pytest are closed, and protect all below."""
    with tempfile.TemporaryDirectory() as folder:
        path = mode(Path(folder).resolve(), 0o755)
        monkeypatch.setattr(Path, "home", lambda: path)
        yield path


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs the tests may be root, or have a group of their own: neither may decide."""
    monkeypatch.setattr("snnrun.system.cache._is_own_group", lambda number: False)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes")
@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("bits", "safe"), [(0o755, True), (0o700, True), (0o777, False), (0o775, False)])
def test_a_folder_that_others_can_write_is_not_used(
    open_home: Path, monkeypatch: pytest.MonkeyPatch, bits: int, safe: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(mode(open_home / "shared", bits)))
    unsafe_folder = open_home / "shared" / "snnrun"
    folder = cache_dir()
    assert (folder == unsafe_folder) is safe
    assert (fault() is None) is safe
    if not safe:
        assert folder is not None
        assert stranger(unsafe_folder) == open_home / "shared"
        assert folder.stat().st_mode & 0o077 == 0, "a folder of this process, closed to others"
        assert cache_dir() == folder


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes")
@pytest.mark.usefixtures("plain")
def test_a_closed_folder_protects_what_lies_below(open_home: Path) -> None:
    assert stranger(mode(mode(mode(open_home / "closed", 0o700) / "open", 0o777) / "below", 0o755)) is None
    assert stranger(mode(mode(open_home / "sticky", 0o1777) / "below", 0o755)) is None
    assert stranger(mode(open_home / "sticky", 0o1777)) == open_home / "sticky"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes")
@pytest.mark.usefixtures("plain")
def test_a_link_counts_as_what_it_leads_to(open_home: Path) -> None:
    mode(open_home / "open", 0o777)
    (open_home / "link").symlink_to(open_home / "open")
    assert stranger(open_home / "link") == open_home / "open"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes")
def test_a_folder_of_another_user_is_not_used(open_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = mode(open_home / "theirs", 0o755)
    if os.getuid() == 0:
        os.chown(theirs, 12345, -1)
        assert stranger(theirs) == theirs
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert stranger(theirs) is not None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes")
@pytest.mark.usefixtures("plain")
def test_a_link_that_others_could_lead_elsewhere_is_not_followed(open_home: Path) -> None:
    """Also where it leads to a folder of this user alone, such as one that was unpacked from a stranger's archive."""
    mode(open_home / "mine" / "deep", 0o755)
    open_folder, sticky = mode(open_home / "shared", 0o777), mode(open_home / "sticky", 0o1777)
    (open_folder / "cache").symlink_to(open_home / "mine")
    assert stranger(open_folder / "cache") == open_folder
    assert stranger(open_folder / "cache" / "deep") == open_folder
    (open_home / "first").symlink_to(open_folder / "cache")
    assert stranger(open_home / "first" / "deep") == open_folder, "a link to a link"
    (open_home / "own").symlink_to("mine")
    assert stranger(open_home / "own" / "deep") is None
    (open_home / "loop").symlink_to("loop")
    with pytest.raises(OSError):
        stranger(open_home / "loop")
    # Nor in a folder with the sticky bit, where a link may be another user's own.
    (sticky / "cache").symlink_to(open_home / "mine")
    assert stranger(sticky / "cache") == sticky
