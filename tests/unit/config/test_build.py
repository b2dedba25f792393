"""From a config to a part, and from a wrong config to the key that is to blame."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import pytest

from snnrun.config.build import PartError
from snnrun.config.build import build as build_part

OURS = ("fractions", "math", "nowhere", "os", "textwrap", "types")  # no parts, but what everyone has at hand


def build(config: Any, path: str) -> Any:
    return build_part(config, path, trusted=OURS)


def test_a_part_with_a_part_inside_it() -> None:
    config = {"_target_": "types.SimpleNamespace", "half": {"_target_": "fractions.Fraction", "numerator": "1/2"}}
    assert build(config, "part").half == Fraction(1, 2)
    parts = build({"_target_": "types.SimpleNamespace", "parts": [config, {"plain": 1}]}, "part").parts
    assert parts[0].half == Fraction(1, 2)
    assert parts[1] == {"plain": 1}


def test_a_partial_is_called_later() -> None:
    partial = build({"_target_": "fractions.Fraction", "_partial_": True, "numerator": 3}, "part")
    assert isinstance(partial, functools.partial)
    assert partial(denominator=4) == Fraction(3, 4)


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [
        (None, "part", "expected a part, that is a mapping with _target_, got null"),
        ({"x": 1}, "part", "expected a part, that is a mapping with _target_"),
        ({"_target_": "fractions"}, "part._target_", "expected a dotted name"),
        ({"_target_": "os.."}, "part._target_", "expected a dotted name"),
        ({"_target_": "nowhere.at.all"}, "part._target_", "there is no module 'nowhere'"),
        ({"_target_": "fractions.Fractoin"}, "part._target_", "fractions has no Fractoin"),
        ({"_target_": "math.pi"}, "part._target_", "expected a class or function, got math.pi, a float"),
        ({"_target_": "fractions.Fraction", "_partial_": 1}, "part._partial_", "expected true or false"),
        ({"_target_": "fractions.Fraction", "numerators": 1}, "part.numerators", "no such key; there are numerator"),
        ({"_target_": "textwrap.fill"}, "part.text", "the key is missing"),
        ({"_target_": "fractions.Fraction", "numerator": "x"}, "part", "Invalid literal for Fraction"),
        (
            {"_target_": "types.SimpleNamespace", "a": [{"_target_": "fractions.Fraction", "x": 1}]},
            "part.a[0].x",
            "there is no such key",
        ),
    ],
)
def test_a_fault_names_its_key(config: Any, path: str, message: str) -> None:
    with pytest.raises(PartError) as error:
        build(config, "part")
    assert error.value.path == path
    assert message in str(error.value)
