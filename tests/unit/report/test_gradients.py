"""Warnings of gradients that vanish, explode or reach no output neuron."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from snnrun.report import gradient_warnings
from snnrun.training.records import EpochRecord, LayerActivity

CONFIG = {
    "epochs": 9,
    "clip_grad_norm": None,
    "neuron": {"threshold": 1.0, "detach_reset": False},
    "surrogate": {"_target_": "snnrun.surrogate.ATan", "alpha": 2.0},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
    "loss": {"_target_": "snnrun.loss.CECount", "population": 1},
}


def record(
    *norms: float | None, zero: tuple[float, ...] = (0.0, 0.0), silent: float = 0.0, epoch: int = 5
) -> EpochRecord:
    gradients = {
        name: {"norm": norm, "zero": share}
        for name, norm, share in zip(("hidden1", "output"), norms, zero, strict=True)
    }
    layers = {"output": {"neurons": 10, "firing_rate": 0.1, "silent": silent, "saturated": 0.0}}
    values = {"epoch": epoch, "step": 20 * epoch, "gradients": gradients, "layers": layers}
    return EpochRecord.from_json(values)


@pytest.mark.parametrize(
    ("epoch", "layer", "kind"),
    [
        (record(1.0, 1.0, zero=(0.6, 0.0)), "hidden1", "vanishes"),
        (record(1e-4, 1.0), "hidden1", "vanishes"),
        (record(2.0, 2.0, zero=(0.0, 1.0)), "output", "vanishes"),
        (record(2.0, 1001.0), "output", "explodes"),
        (record(11.0, 0.01), "hidden1", "explodes"),
        (record(1.0, 1.0, silent=0.1, epoch=9), "output", "lost"),
    ],
)
def test_each_kind_names_its_layer_once(epoch: EpochRecord, layer: str, kind: str) -> None:
    warnings: set[tuple[str, str]] = set()
    (text,) = gradient_warnings([epoch], warnings, CONFIG)
    assert warnings == {(layer, kind)}
    assert text.startswith(f"layer {layer!r}") and "Try: " in text
    assert gradient_warnings([epoch], warnings, CONFIG) == []


@pytest.mark.parametrize(
    "epoch",
    [
        record(100.0, 1.0, zero=(0.5, 0.1)),
        record(0.01, 1.0),
        record(None, math.nan),
        record(0.0, 0.0),
        record(1.0, 1.0, silent=0.1),
        replace(record(1.0, 1.0, silent=0.1, epoch=9), step=90),
        EpochRecord.from_json({"epoch": 9}),
        EpochRecord.from_json({"epoch": 9, "gradients": {}}),
    ],
)
def test_what_is_no_warning(epoch: EpochRecord) -> None:
    assert gradient_warnings([epoch], set(), CONFIG) == []


def test_all_records_must_show_it() -> None:
    good, bad = record(1.0, 1.0), record(1e-4, 1.0)
    assert gradient_warnings([good, bad], set(), CONFIG) == []
    assert len(gradient_warnings([bad, bad], set(), CONFIG)) == 1
    assert gradient_warnings([], set(), CONFIG) == []


def test_a_network_that_learns_is_not_warned_of_its_gradients() -> None:
    for epoch in (record(0.0, 1.0, zero=(1.0, 0.0)), record(2.0, 1500.0)):
        assert len(gradient_warnings([epoch], set(), CONFIG)) == 1
        assert gradient_warnings([epoch], set(), CONFIG, learns=True) == []
    late = record(1.0, 1.0, silent=0.1, epoch=9)
    assert len(gradient_warnings([late], set(), CONFIG, learns=True)) == 1, "one class of many costs little accuracy"


def test_the_warning_of_a_silent_layer_is_not_repeated() -> None:
    assert gradient_warnings([record(1.0, 1.0, zero=(1.0, 0.0))], {("hidden1", "silent")}, CONFIG) == []


def test_an_explosion_is_shown_once_with_the_remaining_remedies() -> None:
    (text,) = gradient_warnings([record(5e3, 5e3)], set(), CONFIG)
    assert "neuron.detach_reset=true" in text and "surrogate.alpha=1" in text and "clip_grad_norm=1" in text
    with_remedies = CONFIG | {"clip_grad_norm": 1.0, "neuron": {"detach_reset": True}}
    (text,) = gradient_warnings([record(5e3, 1.0)], set(), with_remedies)
    assert "clip_grad_norm" not in text and "detach_reset" not in text
    assert gradient_warnings([record(5e3, 5e3)], set(), CONFIG | {"clip_grad_value": 0.1}) == []
    (text,) = gradient_warnings([record(5e3, 1.0)], set(), CONFIG | {"surrogate": {"_target_": "x.Rectangular"}})
    assert "surrogate=atan" in text and "surrogate.alpha" not in text


def test_a_silent_output_is_no_loss_where_membranes_or_populations_decide() -> None:
    epoch = record(1.0, 1.0, silent=0.1, epoch=9)
    for loss in ({"_target_": "snnrun.loss.CEMembrane", "population": 1}, {**CONFIG["loss"], "population": 5}):  # type: ignore[dict-item]
        assert gradient_warnings([epoch], set(), CONFIG | {"loss": loss}) == []


def test_fewer_layers_only_where_there_are_several() -> None:
    for epoch in (record(1.0, 1.0, zero=(0.6, 0.0)), record(5e3, 5e3)):
        for depth, advice in ((1, False), (2, True)):
            active = LayerActivity(neurons=10, firing_rate=0.1, silent=0.0, saturated=0.0)
            layers = dict.fromkeys((*(f"hidden{i + 1}" for i in range(depth)), "output"), active)
            (text,) = gradient_warnings([replace(epoch, layers=layers)], set(), CONFIG | {"readout": {}})
            assert ("fewer layers" in text) is advice


def test_its_remedies_agree_with_those_of_the_layers() -> None:
    epoch = record(1.0, 1.0, zero=(0.6, 0.0))
    (text,) = gradient_warnings([epoch], {("output", "silent")}, CONFIG)
    assert "a lower neuron.threshold" in text
    (text,) = gradient_warnings([epoch], {("output", "saturated")}, CONFIG)
    assert "neuron.threshold" not in text
    (text,) = gradient_warnings([record(5e3, 5e3)], {("output", "silent")}, CONFIG | {"clip_grad_norm": None})
    assert "smaller optimizer.lr" not in text
    far = CONFIG | {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.3}}
    (text,) = gradient_warnings([epoch], set(), far)
    assert text.partition("Try: ")[2].startswith("optimizer.lr=0.001") and ";" not in text
