"""The warning about a result that guessing would have reached."""

from __future__ import annotations

from typing import Any

import pytest

from snnrun.report import chance_warning
from snnrun.training.records import EpochRecord

CONFIG = {
    "epochs": 20,
    "max_steps": None,
    "readout": None,
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
    "encoder": {"_target_": "snnrun.encoder.Rate"},
    "neuron": {"threshold": 1.0, "beta": None},
}


def warning(**values: Any) -> str | None:
    facts: dict[str, Any] = {"accuracy": None, "r2": None, "share": None, "samples": 400, "config": CONFIG}
    return chance_warning(**facts | values)


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.13])
def test_an_accuracy_within_two_standard_errors_of_the_largest_class(accuracy: float) -> None:
    text = warning(accuracy=accuracy, share=0.1)  # 0.1 + 2 sqrt(0.1 0.9 / 400) = 0.13
    assert text is not None and f"{100 * accuracy:.1f} %" in text and "10.0 %" in text and "13.0 %" in text


@pytest.mark.parametrize(
    "values",
    [
        {"accuracy": 0.131, "share": 0.1},
        {"accuracy": 0.9, "share": 0.8},
        {"accuracy": 1.0, "share": 1.0},  # there is one class: nothing can be learned
        {"accuracy": 0.5, "share": None},
        {"r2": 0.02},
        {},
    ],
)
def test_what_is_better_or_cannot_be_compared(values: dict[str, Any]) -> None:
    assert warning(**values) is None


@pytest.mark.parametrize("r2", [-3.0, 0.0, 0.009])
def test_values_no_better_than_the_mean(r2: float) -> None:
    text = warning(r2=r2)
    assert text is not None and "R²" in text
    assert "ce_membrane" not in text, "a loss for classes"


def test_remedies_are_for_what_is_seen() -> None:
    changes: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"optimizer": {"_target_": "torch.optim.SGD", "lr": 100.0}}, {}, "Try: optimizer.lr=0.1"),
        ({"epochs": 1}, {}, "Try: more epochs (epochs=20)"),
        ({"max_steps": 3}, {}, "Try: max_steps=null"),
        ({}, {"layers": {"output": {"silent": 0.6, "saturated": 0.0}}}, "Try: a lower neuron.threshold"),
        ({}, {"layers": {"output": {"silent": 0.0, "saturated": 0.6}}}, "Try: a faster leak (neuron.beta=0.5)"),
        ({"loss": {"_target_": "snnrun.loss.SpikeSimilarity"}}, {}, "Try: loss=ce_count"),
        ({"num_steps": 1}, {}, "Try: more time steps (num_steps=25)"),
        ({"neuron": {"_target_": "snnrun.neuron.LIF", "threshold": 100.0}}, {}, "Try: neuron.threshold=1"),
    ]
    for change, last, begin in changes:
        text = warning(accuracy=0.1, share=0.1, config=CONFIG | change, last_epoch=EpochRecord.from_json(last))
        assert text is not None and begin in text


def test_what_is_far_off_is_put_back_before_anything_else() -> None:
    far = {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.3}, "epochs": 3}
    saturated = {"layers": {"output": {"silent": 0.0, "saturated": 0.6}}}
    text = warning(accuracy=0.1, share=0.1, config=CONFIG | far, last_epoch=EpochRecord.from_json(saturated))
    assert text is not None
    first, second = text.partition("Try: ")[2].split("; ")
    assert first.startswith("optimizer.lr=0.001") and second == "more epochs (epochs=20)."


@pytest.mark.parametrize(
    ("earlier", "silent", "saturated", "never"),
    [
        (("saturated",), 0.6, 0.0, ("a lower", "a faster", "larger")),
        (("silent",), 0.0, 0.6, ("a lower", "a faster", "smaller")),
        ((), 0.6, 0.6, ("a lower", "a faster")),
        (("saturated",), 0.0, 0.0, ("a lower", "larger")),
        (("silent",), 0.0, 0.0, ("a faster", "smaller")),
    ],
)
def test_the_remedies_agree_with_those_of_earlier_warnings(
    earlier: tuple[str, ...], silent: float, saturated: float, never: tuple[str, ...]
) -> None:
    last = {"layers": {"output": {"silent": silent, "saturated": saturated}}}
    config = CONFIG | {"encoder": {"_target_": "snnrun.encoder.Direct"}, "readout": {}}
    text = warning(accuracy=0.1, share=0.1, config=config, last_epoch=EpochRecord.from_json(last), warned=earlier)
    assert text is not None
    remedies = text.partition("Try: ")[2].split("; ")
    contrary = [each for each in remedies for words in never if each.startswith(words) or f"a {words} opt" in each]
    assert remedies and "" not in remedies and not contrary
