"""Keys as other programs have them get the line to write; and a typo needs no torch to be found."""

from __future__ import annotations

import subprocess
import sys

import pytest

from command import Command, Training
from snnrun import __version__


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--epochs", "5"), "write epochs=5"),
        (("--epochs=5",), "write epochs=5"),
        (("-e", "5"), "write epochs=5"),
        (("epochs", "5"), "write epochs=5"),
        (("--epoch", "5"), "write epochs=5"),
        (("--lr", "0.1"), "write optimizer.lr=0.1"),
        (("--learning-rate", "1e-3"), "write optimizer.lr=1e-3"),
        (("--batch-size", "32"), "write batch_size=32"),
        (("--neuron", "lif"), "write neuron=lif"),
        (("--hidden", "[100,50]"), "write 'model.hidden=[100,50]'"),
        (("--no-such-thing-at-all", "5"), "there is no such flag"),
    ],
)
def test_an_option_of_other_programs(command: Command, words: tuple[str, ...], line: str) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    assert line in outcome.err


def test_words_of_other_programs(command: Command, training: Training) -> None:
    assert command("train", "neuron=if", "seed=3").code == 0
    assert training.calls[0]["settings"].seed == 3
    assert command("help").out == command("--help").out
    assert command("version").out == f"snnrun {__version__}\n"


TYPO = "import sys; from snnrun.cli import main; code = main(sys.argv[1:]); print(code, 'torch' in sys.modules)"


@pytest.mark.parametrize(
    "words", [("epoch=5",), ("neuron=liff",), ("neuron.bet=0.9",), ("epochs=five",), ("--epochs", "5"), ("seed=-1",)]
)
def test_a_typo_is_found_without_torch(words: tuple[str, ...]) -> None:
    ended = subprocess.run([sys.executable, "-c", TYPO, *words], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["2", "False"]
    assert words[0].partition("=")[0].strip("-") in ended.stderr
