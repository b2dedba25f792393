"""The gradient of each layer in the records of epochs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from snnrun.model import Layer
from snnrun.neuron import LIF
from snnrun.run.compare import compare
from snnrun.training.layers import layer_gradients
from snnrun.training.progress import Progress
from snnrun.training.records import EpochRecord, LayerGradient
from support.small import training

SMALL = ("model.hidden=[20]", "num_steps=5", "encoder=direct", "batch_size=700", "epochs=1")  # two batches


def epochs(*overrides: str) -> list[EpochRecord]:
    return [record for record in training(*SMALL, *overrides).fit() if isinstance(record, EpochRecord)]


def test_norms_are_those_of_the_last_batch() -> None:
    trainer = training(*SMALL)
    (epoch,) = [record for record in trainer.fit() if isinstance(record, EpochRecord)]
    assert list(epoch.gradients or {}) == ["hidden1", "output"]
    for name, layer in trainer.model.layers.items():  # type: ignore[union-attr,operator]
        squares = sum(float(p.grad.double().square().sum()) for p in layer.parameters())
        assert (epoch.gradients or {})[name].norm == pytest.approx(math.sqrt(squares), rel=1e-5)
        share = (layer.synapse.weight.grad == 0).all(1).double().mean()
        assert (epoch.gradients or {})[name].zero == pytest.approx(float(share))


def test_norms_are_taken_before_clipping() -> None:
    (free,), (with_clip,) = (epochs("batch_size=2000", f"clip_grad_norm={bound}") for bound in ("null", "1e-3"))
    assert with_clip.gradients == free.gradients
    assert (free.gradients or {})["output"].norm > 1e-3


@pytest.mark.parametrize(
    "words", [("max_steps=1",), ("drop_last=true",), ("model=recurrent",), ("readout=li", "loss=ce_membrane")]
)
def test_every_layer_is_there_however_the_epoch_ends(words: tuple[str, ...]) -> None:
    (epoch,) = epochs(*words)
    assert list(epoch.gradients or {}) == ["hidden1", "output"]
    assert all(layer.norm > 0 for layer in (epoch.gradients or {}).values())


def test_neurons_without_a_gradient() -> None:
    model = nn.ModuleDict({"a": Layer(nn.Linear(3, 4), LIF()), "b": Layer(nn.Linear(4, 2), LIF())})
    assert layer_gradients(model) == {}
    weight: Any = dict(model.named_parameters())["a.synapse.weight"]
    weight.grad = torch.zeros_like(weight)
    weight.grad[1, 2] = -3.0
    assert {name: pair.tolist() for name, pair in layer_gradients(model).items()} == {"a": [3.0, 0.75]}
    weight.grad[0, 0] = math.nan
    assert math.isnan(layer_gradients(model)["a"][0])


def test_a_state_holds_them_and_may_lack_them() -> None:
    gradients = {"hidden1": LayerGradient(norm=1.5, zero=0.0)}
    state = Progress(gradients=gradients).state()
    assert Progress.of(state).gradients == gradients
    del state["gradients"]  # as an earlier version wrote it
    assert Progress.of(state).gradients is None
    del state["epoch"]
    with pytest.raises(KeyError):
        Progress.of(state)


@pytest.mark.parametrize(
    ("before", "after", "exact"),
    [
        ({}, {"gradients": {"output": {"norm": 1.0, "zero": 0.0}}}, True),  # an earlier version had none
        ({"gradients": {"output": {"norm": 2.0}}}, {"gradients": {"output": {"norm": 1.0}}}, False),
        ({"gradients": {"output": {"norm": 2.0}}}, {}, False),
    ],
)
def test_a_run_of_an_earlier_version_can_be_reproduced(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], exact: bool
) -> None:
    for name, extra in (("before", before), ("after", after)):
        (tmp_path / name).mkdir()
        record = {"kind": "epoch", "epoch": 1, "step": 5, "train_loss": 1.5, **extra}
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        (tmp_path / name / "result.json").write_text(
            json.dumps({"status": "finished", "weights_sha256": "ab", "epochs": 1})
        )
    verdict = compare(tmp_path / "before", tmp_path / "after", same_seed=True)
    assert (verdict.exact, verdict.records) == (exact, int(exact))
