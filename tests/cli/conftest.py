"""The command run in this process, from an empty folder, with a stand-in for the training itself."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import snnrun.run
from command import Command, Outcome, Parts, Training
from snnrun.cli import main


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


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    """Replaces the training, so that what the command hands over can be seen at once."""
    stand_in, module = Training(), ModuleType("snnrun.run.execute")
    vars(module).update(Parts=Parts, run=stand_in.run)
    monkeypatch.setitem(sys.modules, "snnrun.run.execute", module)
    monkeypatch.setattr(snnrun.run, "execute", module, raising=False)
    return stand_in


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of a user's own parts: a neuron defined beside its YAML, a set-up, and two files that are broken."""
    folder = tmp_path / "own parts"
    for name, text in {
        "my_neuron_of_tests.py": MY_NEURON,
        "neuron/mine.yaml": "_target_: my_neuron_of_tests.Mine\n_partial_: true\nsurrogate: ${surrogate}\ngain: 2.0\n",
        "neuron/broken.yaml": "threshold: [1,\nv_reset: 0\n",
        "neuron/empty.yaml": "",
        "neuron/typo.yaml": "_target_: snnrun.neuron.LIFF\n_partial_: true\n",
        "neuron/lost.yaml": "_target_: snnrun.neuron.LIF\n_partial_: true\nbeta: ${no.such.key}\n",
        "neuron/list.yaml": "- 1\n",
        "experiment/silence.yaml": "# @package _global_\ndefaults:\n  - override /task: zeros\nseed: 7\nnum_steps: 4\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


MY_NEURON = '''
from snnrun import check
from snnrun.neuron import IF


class Mine(IF):
    """A neuron of my own.

    It multiplies nothing by its gain.
    """

    def __init__(self, gain=1.0, **options):
        super().__init__(**options)
        self.gain = check.number("gain", gain, above=0)
'''
