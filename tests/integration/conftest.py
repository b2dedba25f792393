"""The command run in this process, from an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnrun.cli import main
from support.command import Command, Outcome


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call as ``command("neuron=if", "seed=1")``; the current folder is empty."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    monkeypatch.delenv("SNNRUN_TRUST", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*argv: str) -> Outcome:
        code = main(argv)
        return Outcome(code, *capsys.readouterr())

    return run
