"""Whose argument an error is about: ours carries its facts, and that of a user's class or of torch is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import Command

MODULE = """\
from typing import Any

from snnrun.neuron import LinearNeuron, LinearUpdate


class Plain(LinearNeuron):
    def __init__(self, *, leak: float | None = 0.02, name: str = "a", **options: Any) -> None:
        super().__init__(**options)
        if leak is None:
            raise ValueError(f"leak: expected a number, got {leak}")
        if leak < 0:
            raise ValueError("a leak cannot be negative")
        self.leak = leak

    def linear(self) -> LinearUpdate:
        return LinearUpdate(decay=1.0, offset=-self.leak)
"""


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    (folder / "neuron").mkdir(parents=True)
    (folder / "plain_errors.py").write_text(MODULE)
    (folder / "neuron" / "plain.yaml").write_text(
        "# Raises plain errors.\n_target_: plain_errors.Plain\n_partial_: true\nleak: 0.02\nname: a\n"
    )
    return folder


@pytest.mark.parametrize(
    ("word", "facts"),
    [
        ("neuron.leak=null", ("expected a number", "got null", "default is 0.02\n")),
        ("neuron.leak=-1", ("got -1", "(a leak cannot be negative)", "default is 0.02\n")),
    ],
)
def test_a_plain_error_of_a_users_class_names_its_key(
    word: str, facts: tuple[str, ...], parts: Path, command: Command
) -> None:
    outcome = command("--config-dir", str(parts), "neuron=plain", word, "trust=[plain_errors]")
    assert outcome.code == 2
    for fact in facts:
        assert fact in outcome.err
    assert outcome.err.count("neuron.leak: ") == 1


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["encoder=rate", "encoder.gain=null"], ("encoder.gain: ", "got null", "default is 1.0")),
        (["neuron.beta=0.9", "neuron.tau=null", "neuron.dt=true"], ("neuron.dt: ", "above 0", "got true")),
        (["task.validation=0.5", "task.test=0.5"], ("task.validation: together with test: ", "below 1")),
        (["optimizer.lr=-1"], ("optimizer.lr: ", "got -1", "(Invalid learning rate: -1)", "default is")),
        (["model.hidden=[3,0]"], ("model.hidden[1]: ", "at least 1", "got 0", "default is [100]")),
    ],
    ids=lambda value: value[0],
)
def test_a_fault_names_its_key_and_its_default(words: list[str], facts: tuple[str, ...], command: Command) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    for fact in facts:
        assert fact in outcome.err


def test_the_default_is_not_shown_where_it_is_what_was_refused(command: Command) -> None:
    outcome = command("model=convnet", "task=zeros")
    assert outcome.code == 2
    assert "model.layers: " in outcome.err and "images" in outcome.err
    assert "the default is" not in outcome.err
