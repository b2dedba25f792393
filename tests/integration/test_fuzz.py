"""Spoilt commands and YAML files end in a run, or in a message of a few lines with the fault and a fix.

A thousand of them with ``pytest -m long``. One that failed is made again by its number: ``fuzz.mutant(17)``.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snnrun.cli import main
from snnrun.run import browse
from support.fuzz import COMMANDS, OWN, Mutant, mutant

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about what it is told to do

LIMIT = 120  # seconds for a command that takes one
EXIT_CODES = {0, 2, 3, 4, 5, 6, 7}
#: What tells how to mend it.
FIX = re.compile(
    r"expected|did you mean|there (is|are)|supported|goes with|as in|such as|belongs"
    r"|\b(use|keep|drop|check|mend|needs?|set|write|add|try|choose|list|save|remove|rename|change|give|less|smaller)\b",
    re.I,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, empty; a command that hangs is ended."""
    monkeypatch.chdir(tmp_path)
    for name in ("SNNRUN_DEBUG", "SNNRUN_TRUST"):
        monkeypatch.delenv(name, raising=False)
    if not hasattr(signal, "SIGALRM"):
        yield tmp_path
        return

    def too_long(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, too_long)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def check(case: Mutant, folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Run it, and look at what it said and left."""
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    for name, content in case.own.items():
        path = folder / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sys.modules.pop("mine_of_fuzz", None)
    if hasattr(signal, "alarm"):
        signal.alarm(LIMIT)
    code = main(case.words)
    out, err = capsys.readouterr()
    assert code in EXIT_CODES, err
    assert "Traceback" not in out + err
    assert all(line.isprintable() for line in err.split("\n"))
    if code:
        message = err[err.index("snnrun: ") :].splitlines()  # a run may have warned before
        assert len(message) <= 23, err
        assert max(map(len, message)) <= 1500, err
        faults = [line for line in message if line.startswith("  ")] or message[:1]
        assert all(FIX.search(fault) for fault in faults), err
    for run in map(browse.read, browse.find(folder)):
        assert run.status in ("finished", "failed", "interrupted"), run.folder
        assert code or run.status == "finished"
    assert not list(folder.rglob("*.tmp"))
    return code


@pytest.mark.long
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_unspoilt_commands_are_valid(words: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(Mutant(list(words), {name: text.encode() for name, text in OWN.items()}), folder, capsys) == 0


@pytest.mark.parametrize("number", range(1000, 1020))
def test_a_sample(number: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(mutant(number), folder, capsys)


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_a_thousand(block: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = []
    for number in range(100 * block, 100 * block + 100):
        try:
            codes.append(check(mutant(number), folder / str(number), capsys))
        except AssertionError as error:
            raise AssertionError(f"fuzz.mutant({number}): {mutant(number)}\n{error}") from None
    assert codes.count(2) > 20, "most are faults of the command"
    assert codes.count(0) > 2, "some are not"


def test_a_number_makes_the_same_mutant_again() -> None:
    assert [mutant(number) for number in range(50)] == [mutant(number) for number in range(50)]
    assert len({str(mutant(number)) for number in range(50)}) == 50
