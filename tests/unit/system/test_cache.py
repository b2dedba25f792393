"""Where the user's cache is, and that a home which cannot be written does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnrun.system.cache import cache_dir


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


@pytest.mark.parametrize("given", ["", "relative/folder"])
def test_a_base_that_is_not_absolute_is_ignored(given: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given)
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
    def refused(**where: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert cache_dir() is None
