"""Memory tasks: cues, a delay, and an answer that is due at the end."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TypedDict

import torch
from torch import Generator, Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.task.base import NO_LABEL, Batch, Data, Task
from snnrun.task.generated import generate


class CueOptions(TypedDict, total=False):
    """The options of every task with cues, for the ``**options`` of its class."""

    cue: int
    recall: int
    units: int
    rate: float
    noise: float
    train_samples: int
    validation_samples: int
    test_samples: int


class CueTask(Task):
    """Cues of two channels, and a recall signal in the last steps. A task is a subclass that schedules them.

    The input is three populations of ``units``: channel 0, channel 1 and recall. A unit fires at a step with
    probability ``rate`` while its population is active, and with probability ``noise`` otherwise. The label stands at
    the last ``recall`` steps, in which the recall population is active; the other steps have none, so that they count
    neither in the loss nor in the accuracy.

    Args:
        cue: steps of a cue. Default 5.
        recall: last steps, in which the answer is due. Default 10.
        units: of a population. Default 10.
        rate: probability of a spike while a population is active. Default 0.4.
        noise: probability of a spike otherwise. Default 0.01.
        train_samples: of an epoch, fresh in every epoch. Default 4000.
        validation_samples, test_samples: fixed by the run's seed. Default 500 and 1000.

    Raises:
        ValueError: for an argument out of range.
    """

    num_outputs = 2
    has_time = True
    has_accuracy = True
    has_steps = True
    num_draws: int
    """How many uniform numbers :meth:`schedule` needs for a sample."""

    def __init__(
        self,
        *,
        cue: int = 5,
        recall: int = 10,
        units: int = 10,
        rate: float = 0.4,
        noise: float = 0.01,
        train_samples: int = 4000,
        validation_samples: int = 500,
        test_samples: int = 1000,
    ) -> None:
        self.cue = check.integer("cue", cue, low=1)
        self.recall = check.integer("recall", recall, low=1)
        self.units = check.integer("units", units, low=1)
        self.input_shape = (3 * self.units,)
        self.rate = check.number("rate", rate, above=0, high=1)
        self.noise = check.number("noise", noise, low=0, high=1)
        self.train_samples = check.integer("train_samples", train_samples, low=1)
        self.validation_samples = check.integer("validation_samples", validation_samples, low=1)
        self.test_samples = check.integer("test_samples", test_samples, low=1)

    @property
    @abstractmethod
    def least_steps(self) -> int:
        """The number of steps without any delay."""

    @abstractmethod
    def schedule(self, draws: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
        """The cues of a batch.

        Args:
            draws: ``[B, num_draws]`` in [0, 1).
            num_steps: T.

        Returns:
            ``[T, B, 2]`` booleans, whether a channel is active, and labels ``[B]``.
        """

    def check_length(self, num_steps: int) -> None:
        """Raise ArgumentError if the cues and the recall do not fit."""
        if num_steps < self.least_steps:
            raise ArgumentError("num_steps", f"at least {self.least_steps}, the cues and the recall", num_steps)

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: Generator) -> Data:
        """Three parts, each with a random stream seeded by ``generator``; reads nothing."""
        self.check_length(num_steps)
        sizes = (self.train_samples, self.validation_samples, self.test_samples)
        num_draws = self.num_draws + num_steps * 3 * self.units
        return generate(sizes, num_draws, lambda draws: self.make(draws, num_steps), device, generator)

    def make(self, draws: Tensor, num_steps: int) -> Batch:
        """The samples of uniform draws ``[B, K]``."""
        channels, labels = self.schedule(draws[:, : self.num_draws], num_steps)
        due = torch.arange(num_steps, device=draws.device) >= num_steps - self.recall
        active = torch.cat((channels, due[:, None, None].expand(num_steps, len(draws), 1)), dim=2)
        probability = torch.where(active, self.rate, self.noise).repeat_interleave(self.units, dim=2)
        chances = draws[:, self.num_draws :].view(len(draws), num_steps, -1).transpose(0, 1)
        target = torch.where(due, labels[:, None], NO_LABEL)
        return Batch((chances < probability).to(draws.dtype), target)


class DelayedXOR(CueTask):
    """Were two cues of different channels? Spikes ``[T, B, 3 units]``, with a delay between the cues.

    ::

        steps   0 … cue           first cue, of channel a
                … T - recall - cue   delay
                … T - recall      second cue, of channel b
                … T               recall: the label is a XOR b

    a and b are 0 or 1 with equal probability. The delay is all that ``num_steps`` leaves, T - 2 cue - recall. Neither
    cue alone reveals anything of the answer, and no sum of the input reveals it linearly.

    The three populations are channel 0, channel 1 and recall. A unit fires at a step with probability ``rate`` while
    its population is active, and with probability ``noise`` otherwise. There is a label at each of the last ``recall``
    steps and at no other (``has_steps``): the loss is ``ce_steps``, and the accuracy is the share of correct steps.

    Args:
        **options: of every task with cues, see :class:`snnrun.task.CueTask`.

    Raises:
        ValueError: for an argument out of range.
    """

    classes = ("same", "different")
    num_draws = 2

    @property
    def least_steps(self) -> int:
        return 2 * self.cue + self.recall

    def schedule(self, draws: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
        first, second = (draws >= 0.5).long().T
        channels = torch.zeros(num_steps, len(draws), 2, dtype=torch.bool, device=draws.device)
        samples = torch.arange(len(draws), device=draws.device)
        channels[: self.cue, samples, first] = True
        end = num_steps - self.recall
        channels[end - self.cue : end, samples, second] = True
        return channels, first ^ second


class Evidence(CueTask):
    """On which side were more cues? Spikes ``[T, B, 3 units]``: cues left and right, a delay, then recall.

    There are ``cues`` cues of ``cue`` steps, with ``gap`` steps after each. A sample draws its side, and each of its
    cues is on this side with probability ``share``. The label is the side with more cues, which need not be the drawn
    one. The delay is all that ``num_steps`` leaves, T - cues (cue + gap) - recall.

    The three populations are left, right and recall. A unit fires at a step with probability ``rate`` while its
    population is active, and with probability ``noise`` otherwise. There is a label at each of the last ``recall``
    steps and at no other (``has_steps``): the loss is ``ce_steps``, and the accuracy is the share of correct steps.

    Args:
        cues: number of cues, which is odd. Default 7.
        gap: steps without a cue after each. Default 3.
        share: probability that a cue is on the drawn side, at least 0.5. Default 0.7.
        **options: of every task with cues, see :class:`snnrun.task.CueTask`.

    Raises:
        ValueError: for an argument out of range.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking neurons", with 7
    cues of 100 ms, 50 ms after each, a delay of 500 to 1,500 ms and a recall of 150 ms; there a fourth population fires
    all the time.
    """

    classes = ("left", "right")

    def __init__(self, *, cues: int = 7, gap: int = 3, share: float = 0.7, **options: Unpack[CueOptions]) -> None:
        super().__init__(**options)
        self.cues = check.integer("cues", cues, low=1)
        if self.cues % 2 == 0:
            raise ArgumentError("cues", "an odd number, so that one side has more", cues)
        self.gap = check.integer("gap", gap, low=0)
        self.share = check.number("share", share, low=0.5, high=1)
        self.num_draws = 1 + self.cues

    @property
    def least_steps(self) -> int:
        return self.cues * (self.cue + self.gap) + self.recall

    def schedule(self, draws: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
        side = (draws[:, :1] >= 0.5).long()
        sides = torch.where(draws[:, 1:] < self.share, side, 1 - side)  # [B, cues]
        channels = torch.zeros(num_steps, len(draws), 2, dtype=torch.bool, device=draws.device)
        samples = torch.arange(len(draws), device=draws.device)
        for number, each in enumerate(sides.T):
            begin = number * (self.cue + self.gap)
            channels[begin : begin + self.cue, samples, each] = True
        return channels, (2 * sides.sum(1) > self.cues).long()
