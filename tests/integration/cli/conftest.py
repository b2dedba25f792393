"""The command run in this process, from an empty folder, with a stand-in for the training itself."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import snnrun
import snnrun.run
from support.command import Training


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    """Replaces the training, so that what the command hands over can be seen at once."""
    stand_in, module = Training(), ModuleType("snnrun.run.execute")
    vars(module).update(execute=stand_in.execute)
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
