"""Keys as other programs have them get the line to write; and a typo needs no torch to be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnrun import __version__
from support.command import Command, Training


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


# What is typed, and what the answer must hold; each is one fault.
TYPOS = {
    "--train": ["`snnrun train`"],
    "--train epochs=1": ["`snnrun train epochs=1`"],
    "--list": ["`snnrun list`"],
    "--list neuron lif": ["`snnrun list neuron lif`"],
    "--runs": ["`snnrun runs`"],
    "--runs --sort accuracy": ["`snnrun runs --sort accuracy`"],
    "--show X": ["`snnrun show X`"],
    "--reprot X": ["`snnrun report X`"],
    "reprot x": ["write `snnrun report x`"],
    "trian epochs=1": ["`snnrun train epochs=1`"],
    "simluate input=step": ["`snnrun simulate input=step`"],
    "test 9b08cbaa": ["`snnrun evaluate 9b08cbaa`"],
    "part.yaml": ["write --config part.yaml"],
    "-c part.yaml": ["-c part.yaml: there is no such flag; write --config part.yaml"],
    "--config-file part.yaml": ["write --config part.yaml"],
    "--config-file=part.yaml": ["write --config part.yaml"],
    "config=part.yaml": ["write --config part.yaml"],
    "-c": ["write --config FILE"],
    "config=": ["write --config VALUE"],
    "config_dir=parts": ["write --config-dir parts"],
    "--config nofile.yaml": ["there is no such file"],
    "--config .": ["write ./config.yaml"],
    "runs -s accuracy": ["write --sort accuracy"],
    "runs sort=accuracy": ["write --sort accuracy"],
    "runs json=true": ["write --json"],
    "-s 3": ["write seed=3"],
    "--resume 9b08cbaa": ["`snnrun resume 9b08cbaa`"],
    "--resume=9b08cbaa": ["`snnrun resume 9b08cbaa`"],
    "-m seed=1,2 --resume outputs/sweep": ["--resume=outputs/sweep"],
    "reproduce RUN seed=3": ["write --seed 3"],
    "reproduce RUN epochs=3": ["epochs=3", "--seed K"],
    "--seed 3": ["write seed=3"],
    "-v": ["write --version"],
    "-V": ["write --version"],
    "T=10": ["did you mean num_steps=10?"],
    "learning_rate=0.1": ["did you mean optimizer.lr=0.1?"],
    "optimzer.lr=0.1": ["did you mean optimizer.lr=0.1?"],
    "model.hidden=[200, 100]": ["split at a space; quote it: 'model.hidden=[200,100]'"],
    "plot encoder=latency, rate": ["write it without: encoder=latency,rate"],
    "-m seed=0, 1": ["split at a space; write it without: seed=0,1"],
    "model.hidden=3,4": ["needs -m; for one value that is a list: 'model.hidden=[3,4]'"],
    "name=Übung": ["""write 'name="Übung"'""", "Ü needs two pairs of quotes"],
    "name=[Übung,a]": ["Ü needs two pairs of quotes", "around each text"],
    "größe=3": ["ö stands where it cannot"],
}
# What must not be said, since it is beside the point.
MISLEADING = ("--sort?", "encoder.gain", "word plot", "word best", "report.sample=...", "token recognition", '[200,"')


@pytest.mark.parametrize("line", TYPOS)
def test_a_mistyped_command(command: Command, line: str) -> None:
    outcome = command(*line.split(" "))
    assert (outcome.code, outcome.out) == (2, "")
    assert "1 fault in the command" in outcome.err
    for part in TYPOS[line]:
        assert part in outcome.err
    for part in MISLEADING:
        assert part not in outcome.err


def test_a_number_below_zero_in_a_list_is_no_flag(command: Command) -> None:
    outcome = command("model.hidden=[200,", "-1,", "100]", "epochs=1")
    assert outcome.code == 2
    assert "quote it: 'model.hidden=[200,-1,100]'" in outcome.err
    for fact in ("model.hidden[1]: ", "whole number of at least 1", "got -1"):
        assert fact in outcome.err
    assert "flag" not in outcome.err


@pytest.mark.parametrize("word", ["seed=0,1", "report.sample=5,6", "optimizer.lr=0,1", "neuron=if,lif"])
def test_a_list_is_offered_only_where_the_key_takes_one(command: Command, word: str) -> None:
    outcome = command(word)
    assert outcome.code == 2
    assert f"{word}: " in outcome.err and "needs -m\n" in outcome.err


def test_the_default_of_the_chosen_part_shows_whether_a_key_takes_a_list(command: Command, own: Path) -> None:
    (own / "neuron" / "listed.yaml").write_text("_target_: snnrun.neuron.LIF\n_partial_: true\nbeta: [0.5]\n")
    assert "'neuron.beta=[1,2]'" in command("--config-dir", str(own), "neuron=listed", "neuron.beta=1,2").err
    assert "'neuron.beta=[1,2]'" not in command("neuron.beta=1,2").err


@pytest.mark.parametrize("word", ["name=a,", "model.hidden=[200,"])
def test_what_follows_is_no_piece_of_a_value(command: Command, word: str) -> None:
    outcome = command(word, "epochs=five")
    assert "2 faults" in outcome.err
    assert "split" not in outcome.err


def test_words_of_other_programs(command: Command, training: Training) -> None:
    assert command("train", "neuron=if", "seed=3").code == 0
    assert training.calls[0]["settings"].seed == 3
    assert command("help").out == command("--help").out
    assert command("version").out == f"snnrun {__version__}\n"
