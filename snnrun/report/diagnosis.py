"""What is wrong with a training run, as its records show it: warnings, each with what may help."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from snnrun.report.activity import activity_warnings
from snnrun.report.chance import chance_warning
from snnrun.report.gradients import gradient_warnings
from snnrun.training.records import EpochRecord

LASTING = 150  # training steps; a network that is silent at first may need a hundred to wake up
STUCK = 3  # epochs of saturated layers; a network whose accuracy stays where it is does not get out of that by itself
LEAST_GAIN = 0.05  # of accuracy or R² in this many epochs; less is none


class Diagnosis:
    """Finds layers that cannot learn, and a test result at chance. Each layer is warned of once a kind.

    Args:
        config: of the run; only what it holds is advised to be changed.
        analogue: layers whose neurons pass on real numbers, so that it is no fault if they are never 0.
        silence_is_the_target: of the task, so that silent layers are no fault.
    """

    def __init__(
        self, config: Mapping[str, Any], *, analogue: Collection[str] = (), silence_is_the_target: bool = False
    ) -> None:
        self._config, self._analogue, self._silence = config, analogue, silence_is_the_target
        self._warnings: set[tuple[str, str]] = set()  # layer and kind

    def epoch(self, epochs: Sequence[EpochRecord]) -> list[str]:
        """The warnings after the last of ``epochs``.

        A fault must last for 150 training steps or be there in the last epoch of the run. Saturated layers are also
        warned of after three epochs that brought nothing, however few steps they are.
        """
        last, length = epochs[-1], self._config.get("epochs")
        warnings = []
        if len(epochs) >= STUCK and _stuck(epochs[-STUCK:]):
            warnings += self._activity(epochs[-STUCK:], ("saturated",))
        # The epochs since the last one that had ended before then.
        ended = [i for i, record in enumerate(epochs) if record.step <= last.step - LASTING]
        at_end = length is None or last.epoch >= length
        if at_end or ended or last.step >= LASTING:
            epochs = epochs[-1:] if at_end else epochs[ended[-1] + 1 if ended else 0 :]
            warnings += self._activity(epochs, ("silent", "saturated"))
            learns = self._silence or _learns(last)
            warnings += gradient_warnings(epochs, self._warnings, self._config, learns=learns)
        return warnings

    def test(
        self, last: EpochRecord | None, *, accuracy: float | None, r2: float | None, share: float | None, samples: int
    ) -> list[str]:
        """The warning about a test result that guessing would reach too; see :func:`chance_warning`."""
        warning = chance_warning(
            accuracy=accuracy,
            r2=r2,
            share=share,
            samples=samples,
            config=self._config,
            last_epoch=last,
            warned={kind for _, kind in self._warnings},
        )
        return [] if warning is None else [warning]

    def _activity(self, epochs: Sequence[EpochRecord], kinds: Sequence[str]) -> list[str]:
        return activity_warnings(
            epochs[-1],
            self._warnings,
            self._config,
            silence_is_the_target=self._silence,
            before=epochs[:-1],
            analogue=self._analogue,
            kinds=kinds,
        )


def _learns(record: EpochRecord) -> bool:
    """True if training goes well, whatever the gradient: most optimizers do not care for its scale."""
    return max(record.train_accuracy or 0.0, record.train_r2 or 0.0) > 0.9


def _stuck(epochs: Sequence[EpochRecord]) -> bool:
    """True if these epochs of training have brought nothing; False if there is neither accuracy nor R²."""
    for scores in ([record.train_accuracy for record in epochs], [record.train_r2 for record in epochs]):
        known = [score for score in scores if score is not None]
        if len(known) == len(epochs):
            return max(known) <= min(known) + LEAST_GAIN and not any(map(_learns, epochs))
    return False
