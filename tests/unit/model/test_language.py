"""The layer language: what can be said, and what is answered to the rest."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn, zeros

from snnrun.model import language
from snnrun.model.language import Word
from support.refusals import refuses


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
    ("text", "height", "got", "facts"),
    [
        ("mp2", 1, "one of 1x1", ("at least 2x2 for mp2", "drop this layer", "pool less")),
        ("8c5s2", 2, "one of 2x2", ("at least 5x5 for 8c5s2", "more padding", "8c5s2p2")),
        ("8c7p1", 4, "one of 4x4", ("at least 5x5 for 8c7p1", "8c7p2")),
    ],
)
def test_an_image_that_is_too_small_names_the_layer(text: str, height: int, got: str, facts: tuple[str, ...]) -> None:
    word = Word(text, "layers[3]", *language.read([text])[0][2:])
    with refuses("layers[3]", got, *facts) as error:
        word.image(height, height)
    assert error.value.argument == "layers"


@pytest.mark.parametrize(
    ("layers", "name", "got", "fact", "advice"),
    [
        ("12c5", "layers", "12c5", "a list", ""),
        (5, "layers", 5, "a list", ""),
        (["12C5"], "layers[0]", "12C5", "a layer", "write 12c5"),
        (["12c5", "conv3"], "layers[1]", "conv3", "a layer", ""),
        (["12x5"], "layers[0]", "12x5", "a layer", ""),
        (["c5"], "layers[0]", "c5", "a layer", "number of channels"),
        (["12c"], "layers[0]", "12c", "a layer", "kernel's size"),
        (["mp"], "layers[0]", "mp", "a layer", "size of the window"),
        (["fc"], "layers[0]", "fc", "a layer", "number of neurons"),
        (["10fc"], "layers[0]", "10fc", "a layer", "write fc10"),
        (["fc 10"], "layers[0]", "fc 10", "a layer", "write fc10"),
        (["maxpool2"], "layers[0]", "maxpool2", "a layer", "write mp2"),
        (["P2"], "layers[0]", "P2", "a layer", "write mp2"),
        (["avg2"], "layers[0]", "avg2", "a layer", "write ap2"),
        (["32conv3"], "layers[0]", "32conv3", "a layer", "write 32c3"),
        (["12c5p1s2"], "layers[0]", "12c5p1s2", "a layer", "write 12c5s2p1"),
        (["12c5d2"], "layers[0]", "12c5d2", "a layer", ""),
        ([""], "layers[0]", "", "a layer", ""),
        ([10], "layers[0]", 10, "a layer", "write fc10"),
        ([None], "layers[0]", None, "a layer", ""),
        (["0c5"], "layers[0]", "0c5", "at least 1 for the channels", ""),
        (["12c0"], "layers[0]", "12c0", "at least 1 for the kernel", ""),
        (["12c5s0"], "layers[0]", "12c5s0", "at least 1 for the stride", ""),
        (["fc0"], "layers[0]", "fc0", "at least 1 for the neurons", ""),
        (["mp0"], "layers[0]", "mp0", "at least 1 for the kernel", ""),
        (["mp2p2"], "layers[0]", "mp2p2", "at most half the kernel, 1", ""),
        (["fc10", "mp2"], "layers[1]", "mp2 after fc10", "after a fully connected one", "put it before"),
        (["٣c5"], "layers[0]", "٣c5", "a layer", ""),
    ],
)
def test_what_cannot_be_read_is_named_with_its_fix(layers: Any, name: str, got: object, fact: str, advice: str) -> None:
    with refuses(name, got, fact, advice) as error:
        language.read(layers)
    assert error.value.argument == "layers"
    assert bool(error.value.advice) == bool(advice)
