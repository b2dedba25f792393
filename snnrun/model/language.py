"""The layer language of ``convnet``: reads and checks ``[12c5, mp2, 64c5, mp2, fc10]``, and computes image sizes.

::

    NcK    convolution, N channels, kernel K x K; sS stride (default 1), pP padding (default 0), as 12c5s2p1
    mpK    maximum of K x K; sS stride (default K), pP padding (default 0), as mp3s2
    apK    mean of K x K; the same options
    fcN    fully connected layer of N neurons
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import NamedTuple

from snnrun.errors import ArgumentError, Description

GRAMMAR = "12c5 (12 channels, kernel 5), 12c5s2p1 (stride 2, padding 1), mp2 or ap2 (max or mean pool), fc100"

_WINDOW = r"(?:s(?P<stride>\d+))?(?:p(?P<padding>\d+))?"
_WORDS = (
    re.compile(r"(?P<size>\d+)(?P<kind>c)(?P<kernel>\d+)" + _WINDOW, re.ASCII),
    re.compile(r"(?P<kind>mp|ap)(?P<kernel>\d+)" + _WINDOW, re.ASCII),
    re.compile(r"(?P<kind>fc)(?P<size>\d+)", re.ASCII),
)


class Word(NamedTuple):
    """One word of the language."""

    text: str
    place: str  # such as layers[2], for messages
    kind: str  # c, mp, ap or fc
    size: int = 0  # channels or neurons
    kernel: int = 0
    stride: int = 0
    padding: int = 0

    @property
    def pools(self) -> bool:
        return self.kind in ("mp", "ap")

    def image(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output of this convolution or pool for an image.

        Raises:
            ValueError: if the image is smaller than the kernel.
        """
        short = self.kernel - 2 * self.padding
        if min(height, width) < short:
            advice = "drop this layer, pool less before it, or take a smaller kernel"
            if not self.pools:  # the padding of a pool is at most half its kernel
                advice += (
                    f" or more padding, such as {_with_padding(self, -(-(self.kernel - min(height, width)) // 2))}"
                )
            raise ArgumentError(
                self.place,
                f"an image of at least {short}x{short} for {self.text}",
                Description(f"one of {height}x{width}"),
                advice=advice,
            )
        return (
            (height + 2 * self.padding - self.kernel) // self.stride + 1,
            (width + 2 * self.padding - self.kernel) // self.stride + 1,
        )


def read(layers: object) -> list[Word]:
    """The words of a list such as ``["12c5", "mp2", "fc10"]``.

    Raises:
        ValueError: for a value that is not a list, an unknown word, or an image layer after ``fc``.
    """
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise ArgumentError("layers", "a list such as [12c5, mp2, fc10]", layers)
    words = [_word(text, f"layers[{i}]") for i, text in enumerate(layers)]
    for before, word in itertools.pairwise(words):
        if before.kind == "fc" and word.kind != "fc":
            raise ArgumentError(
                word.place,
                "no image layer after a fully connected one",
                Description(f"{word.text} after {before.text}"),
                advice="put it before",
            )
    return words


def _word(text: object, place: str) -> Word:
    match = _match(text) if isinstance(text, str) else None
    if match is None or not isinstance(text, str):
        raise ArgumentError(place, f"a layer such as {GRAMMAR}", text, advice=_hint(text))
    kind = match["kind"]
    numbers = {key: int(value) for key, value in match.groupdict().items() if key != "kind" and value is not None}
    kernel = numbers.get("kernel", 0)
    word = Word(
        text,
        place,
        kind,
        size=numbers.get("size", 0),
        kernel=kernel,
        stride=numbers.get("stride", 1 if kind == "c" else kernel),
        padding=numbers.get("padding", 0),
    )
    expected = {"c": ("size", "kernel", "stride"), "fc": ("size",)}.get(kind, ("kernel", "stride"))
    for name in expected:
        if getattr(word, name) < 1:
            shown = {"c": "channels", "fc": "neurons"}[kind] if name == "size" else name
            raise ArgumentError(place, f"a number of at least 1 for the {shown}", text)
    if word.pools and 2 * word.padding > kernel:
        raise ArgumentError(place, f"a padding of at most half the kernel, {kernel // 2}", text)
    return word


def _match(text: str) -> re.Match[str] | None:
    return next((match for word in _WORDS if (match := word.fullmatch(text))), None)


def _hint(text: object) -> str:
    """The likely correction of a word in the notation of papers and other programs."""
    if isinstance(text, int) and not isinstance(text, bool):
        return f"for {text} fully connected neurons write fc{text}"
    if not isinstance(text, str):
        return ""
    plain = re.sub(r"[\s_,()-]", "", text.lower())
    for pattern, form in (
        (r"(.+)", r"\1"),
        (r"c(?:onv)?(\d+)c(\d+.*)", r"\1c\2"),
        (r"(\d+)conv(\d+.*)", r"\1c\2"),
        (r"(\d+)(?:fc|d|n)", r"fc\1"),
        (r"(?:fc|dense|linear)?(\d+)", r"fc\1"),
        (r"(?:max)?pool(\d+.*)", r"mp\1"),
        (r"(?:max|p)(\d+.*)", r"mp\1"),
        (r"(?:avg|mean)(?:pool)?(\d+.*)", r"ap\1"),
        (r"(.*\d)p(\d+)s(\d+)", r"\1s\3p\2"),
    ):
        if re.fullmatch(pattern, plain) and _match(correct := re.sub(pattern, form, plain)):
            return f"write {correct}"
    lacking = {
        r"c\d+.*": "the number of channels before the c is missing",
        r"\d+c": "the kernel's size after the c is missing",
        r"mp|ap": "the size of the window is missing",
        r"fc": "the number of neurons is missing; leave the read-out out and it is made to suit the task",
    }
    return next((what for pattern, what in lacking.items() if re.fullmatch(pattern, plain)), "")


def _with_padding(word: Word, padding: int) -> str:
    stride = f"s{word.stride}" if word.stride > 1 else ""
    return f"{word.size}c{word.kernel}{stride}p{padding}"
