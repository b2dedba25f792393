"""A user's training set that draws numbers of its own: a resumed run sees the samples of an uninterrupted one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snnrun.cli import main
from snnrun.run.compare import compare
from snnrun.system import safe_read

TASK = '''
import torch
from snnrun.task import Batch, Data, Task


class Part:
    """Eight bright or dark pixels, with noise that is drawn for each batch."""

    def __init__(self, generator, stream):
        self._generator = generator
        if stream != "missing":
            self.stream = {"own": generator, "none": None, "seed": 5}[stream]

    def __len__(self):
        return 12

    def _order(self, generator):
        return torch.randperm(12, generator=generator)

    def batches(self, batch_size, generator=None):
        order = torch.arange(12) if generator is None else self._order(generator)
        for chosen in order.split(batch_size):
            noise = torch.rand(1, len(chosen), 8, generator=None if generator is None else self._generator)
            yield Batch(0.5 * noise + 0.5 * (chosen % 2)[None, :, None], chosen % 2)


class Careless(Part):
    """Shuffles by torch's global generator too."""

    def _order(self, generator):
        return torch.randperm(12)


class Noisy(Task):
    input_shape, num_outputs, has_time, has_accuracy = (8,), 2, False, True

    def __init__(self, part="Part", draws="own", stream="own"):
        self.kind, self.draws, self.stream = {"Part": Part, "Careless": Careless}[part], draws, stream

    def load(self, data_dir, num_steps, device, generator):
        seed = int(torch.randint(0, 2**31, (), generator=generator))
        own = torch.Generator().manual_seed(seed) if self.draws == "own" else None
        return Data(self.kind(own, self.stream), self.kind(None, "none"), self.kind(None, "none"), {})
'''
YAML = "# Noise.\n_target_: part_streams_task.Noisy\npart: Part\ndraws: own\nstream: own\n"
WORDS = [
    *("report.figures=false", "report.summary=false", "report.progress=false"),
    *("task=noisy", "batch_size=6", "num_steps=3", "model.hidden=[4]", "epochs=2"),
]
PARTS = ["--config-dir", "parts", "trust=[part_streams_task]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with the task in ``parts/``."""
    (tmp_path / "parts" / "task").mkdir(parents=True)
    (tmp_path / "parts" / "part_streams_task.py").write_text(TASK)
    (tmp_path / "parts" / "task" / "noisy.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("part_streams_task", None)


@pytest.mark.parametrize(
    "kind",
    [
        ["task.draws=own", "task.stream=own"],
        ["task.draws=global", "task.stream=none"],
        ["task.part=Careless", "task.draws=global", "task.stream=none"],
    ],
    ids=["a stream of its own", "torch's global generator", "which shuffles too"],
)
def test_a_run_that_is_resumed_after_every_step_sees_the_same_noise(kind: list[str], folder: Path) -> None:
    """``model.dropout`` and the encoder draw as well, between the batches."""
    words = [*PARTS, *WORDS, *kind, "model.dropout=0.2", "encoder=rate"]
    assert main([*words, "hydra.run.dir=whole"]) == 0
    code, resumes = main([*words, "hydra.run.dir=resumed", "max_seconds=1e-9"]), 0
    while code == 143:
        code, resumes = main(["resume", *PARTS, "resumed"]), resumes + 1
    assert code == 0 and resumes >= 4, "there are four steps, and each has a process"
    verdict = compare(folder / "whole", folder / "resumed", same_seed=True)
    assert verdict.exact, verdict.words()


@pytest.mark.parametrize(("stream", "fault"), [("missing", "no such attribute"), ("seed", "int")])
def test_a_part_that_does_not_name_its_generator_is_refused(
    stream: str, fault: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be resumed with other numbers, and nothing would say so."""
    assert main([*PARTS, *WORDS, f"task.stream={stream}", "hydra.run.dir=run"]) == 3
    error = capsys.readouterr().err
    assert "part_streams_task.Part" in error and "stream" in error and fault in error
    result = safe_read.json_object(folder / "run", "result.json")
    assert (result["status"], result["epochs"]) == ("failed", 0)
    assert not (folder / "run" / "checkpoints").exists()
