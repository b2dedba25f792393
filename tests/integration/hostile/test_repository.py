"""A stranger's folder that is a git repository: asking for its commit runs none of the programs that it names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snnrun.report.manifest import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")

#: Settings of the repository, and whether it can still be told what differs from the commit.
CASES: dict[str, tuple[dict[str, str], bool]] = {
    "nothing": ({}, True),
    "a watcher": ({"core.fsmonitor": "touch CANARY; false"}, True),
    "a filter": ({"filter.evil.clean": "touch CANARY; cat"}, False),
    "a long-running filter": ({"filter.evil.process": "touch CANARY"}, False),
}


def git(folder: Path, *words: str) -> str:
    user = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    process = subprocess.run(["git", *user, *words], cwd=folder, check=True, capture_output=True, text=True)
    return process.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit, and a file that differs from it in the same length, so that git has to look into it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("one\n")
    (folder / ".gitattributes").write_text("* filter=evil\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    (folder / "file").write_text("two\n")
    return folder


@pytest.mark.parametrize(("settings", "has_state"), CASES.values(), ids=CASES.keys())
def test_git_runs_nothing(settings: dict[str, str], has_state: bool, repository: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for key, value in settings.items():
        git(repository, "config", key, value.replace("CANARY", str(canary)))
    state: dict[str, Any] | None = git_state(repository)
    assert state is not None and len(state["commit"]) == 40
    assert (state["dirty"], state["untracked"]) == ((True, False) if has_state else (None, None))
    assert not canary.exists()


def test_git_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    """An object that is missing would be fetched from the remote, by a program that the remote names."""
    canary, tree = tmp_path / "canary", git(repository, "rev-parse", "HEAD^{tree}")
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": ".",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": f"touch {canary};",
    }.items():
        git(repository, "config", key, value)
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    state = git_state(repository)
    assert state is not None and state["dirty"] is None
    assert not canary.exists()
