"""The layer language: what can be said, and what is answered to the rest."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn, zeros

from snnrun.errors import ArgumentError
from snnrun.model import language
from snnrun.model.language import Word


def test_words() -> None:
    words = language.read(["12c5", "3c4s2p1", "mp2", "ap3s1p1", "fc10"])
    assert [word[2:] for word in words] == [
        ("c", 12, 5, 1, 0),
        ("c", 3, 4, 2, 1),
        ("mp", 0, 2, 2, 0),
        ("ap", 0, 3, 1, 1),
        ("fc", 10, 0, 0, 0),
    ]
    assert words[1][:2] == ("3c4s2p1", "layers[1]")
    assert language.read([]) == []


@pytest.mark.parametrize("text", ["2c3", "2c3s2p1", "2c1s3", "2c5p2", "mp2", "mp3s2p1", "ap3s1"])
def test_the_size_of_an_image_is_that_of_torch(text: str) -> None:
    (word,) = language.read([text])
    kinds: dict[str, Any] = {"mp": nn.MaxPool2d, "ap": nn.AvgPool2d}
    window = (word.kernel, word.stride, word.padding)
    module = kinds[word.kind](*window) if word.pools else nn.Conv2d(1, word.size, *window)
    for size in ((5, 5), (6, 9), (13, 8)):
        assert tuple(module(zeros(1, 1, *size)).shape[2:]) == word.image(*size)


@pytest.mark.parametrize(
    ("text", "height", "message"),
    [
        (
            "mp2",
            1,
            r"layers\[3\]: expected an image of at least 2x2 for mp2, got one of 1x1; drop this layer, pool less",
        ),
        ("8c5s2", 2, r"of at least 5x5 for 8c5s2, got one of 2x2; .* or more padding, such as 8c5s2p2"),
        ("8c7p1", 4, r"of at least 5x5 for 8c7p1, got one of 4x4; .*, such as 8c7p2"),
    ],
)
def test_an_image_that_is_too_small_names_the_layer(text: str, height: int, message: str) -> None:
    word = Word(text, "layers[3]", *language.read([text])[0][2:])
    with pytest.raises(ArgumentError, match=message) as error:
        word.image(height, height)
    assert (error.value.name, error.value.argument) == ("layers[3]", "layers")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("12c5", r"layers: expected a list such as \[12c5, mp2, fc10\], got '12c5'"),
        (5, "layers: expected a list"),
        (["12C5"], r"layers\[0\]: expected a layer such as 12c5 .* got '12C5'; write 12c5$"),
        (["12c5", "conv3"], r"layers\[1\]: expected a layer such as 12c5 .* got 'conv3'$"),
        (["12x5"], "got '12x5'"),
        (["c5"], "got 'c5'; the number of channels before the c is missing"),
        (["12c"], "got '12c'; the kernel's size after the c is missing"),
        (["mp"], "got 'mp'; the size of the window is missing"),
        (["fc"], "got 'fc'; the number of neurons is missing; leave the read-out out"),
        (["10fc"], "got '10fc'; write fc10"),
        (["fc 10"], "got 'fc 10'; write fc10"),
        (["maxpool2"], "got 'maxpool2'; write mp2"),
        (["P2"], "got 'P2'; write mp2"),
        (["avg2"], "got 'avg2'; write ap2"),
        (["32conv3"], "got '32conv3'; write 32c3"),
        (["12c5p1s2"], "got '12c5p1s2'; write 12c5s2p1"),
        (["12c5d2"], "got '12c5d2'$"),
        ([""], "got ''$"),
        ([10], "got 10; for 10 fully connected neurons write fc10"),
        ([None], "got None$"),
        (["0c5"], r"layers\[0\]: expected a number of at least 1 for the channels, got '0c5'"),
        (["12c0"], "at least 1 for the kernel, got '12c0'"),
        (["12c5s0"], "at least 1 for the stride, got '12c5s0'"),
        (["fc0"], "at least 1 for the neurons, got 'fc0'"),
        (["mp0"], "at least 1 for the kernel, got 'mp0'"),
        (["mp2p2"], "a padding of at most half the kernel, 1, got 'mp2p2'"),
        (["fc10", "mp2"], r"layers\[1\]: expected no image layer after a fully connected one, got mp2 after fc10"),
        (["٣c5"], "got '٣c5'$"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_fix(layers: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as error:
        language.read(layers)
    assert error.value.argument == "layers"
