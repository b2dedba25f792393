"""The command run in this process, from an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnrun.cli import main
from support.command import Command, Folder, Outcome


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call as ``command("simulate", "neuron=if")``; the current folder is empty at first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    monkeypatch.delenv("SNNRUN_TRUST", raising=False)

    def run(*argv: str) -> Outcome:
        code = main(argv)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The folder of the only simulation or plot there is."""

    def find() -> Path:
        (only,) = (path.parent for path in tmp_path.glob("outputs/*/*/manifest.json"))
        return only

    return find
