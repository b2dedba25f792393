"""The words of a command line."""

from __future__ import annotations

import pytest

from snnrun.job.arguments import parse, quote_calls


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("model.bias_init=uniform(0,1)", 'model.bias_init="uniform(0,1)"'),
        ("model.bias_init=default,uniform(-0.5, 1)", 'model.bias_init=default,"uniform(-0.5, 1)"'),
        ("model.bias_init='uniform(0,1)'", "model.bias_init='uniform(0,1)'"),
        ("optimizer.lr=choice(0.1,0.2)", "optimizer.lr=choice(0.1,0.2)"),
        ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "optimizer.lr=tag(log,interval(1e-4,1e-1))"),
        ("model.hidden=[500,200]", "model.hidden=[500,200]"),
        ("~surrogate", "~surrogate"),
    ],
)
def test_texts_that_look_like_calls_are_quoted(word: str, expected: str) -> None:
    assert quote_calls(word) == expected
    assert parse([word]).overrides == [expected]
