"""The warning about a result that is no better than guessing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from snnrun.report.remedies import LESS, MORE, Remedy, advice, lower_threshold, more_steps, unusual_values, value
from snnrun.training.records import EpochRecord

MARGIN = 2.0  # standard errors that count as chance: one of 40 guessing networks exceeds them
R2 = 4.0  # divided by the number of samples: a line through unrelated values exceeds it in one case of twenty
FEW_EPOCHS = 5


def chance_warning(
    *,
    accuracy: float | None,
    r2: float | None,
    share: float | None,
    samples: int,
    config: Mapping[str, Any],
    last_epoch: EpochRecord | None = None,
    warned: Collection[str] = (),
) -> str | None:
    """Returns a warning with remedies if the test result is at chance, else None.

    An accuracy is at chance up to two standard errors above the share of the most frequent class, ``p + 2 sqrt(p
    (1 - p) / n)``; an R² up to ``4 / n``, where predicting the mean gives 0.

    Args:
        accuracy, r2: on the test set; None if the task has none.
        share: share of the most frequent class in the test set.
        samples: n, its size.
        config: of the run.
        last_epoch: the record of the last epoch, for the activity of its layers.
        warned: kinds of earlier warnings, "silent" or "saturated"; the remedies agree with theirs.
    """
    if accuracy is not None and share is not None and 0 < share < 1 and samples:
        bound = share + MARGIN * math.sqrt(share * (1 - share) / samples)
        if accuracy > bound:
            return None
        what = (
            f"the test accuracy, {100 * accuracy:.1f} %, is no better than chance: {100 * share:.1f} % of the labels "
            f"are of the most frequent class, and with {samples:,} samples up to {100 * bound:.1f} % may be luck"
        )
    elif r2 is not None and samples and r2 <= R2 / samples:
        what = f"the test R², {r2:.3g}, is no better than predicting the mean, which has 0"
    else:
        return None
    layers = list(last_epoch.layers.values()) if last_epoch is not None else []
    most = {"silent": [each.silent for each in layers], "saturated": [each.saturated for each in layers]}
    seen = [kind for kind, shares in most.items() if kind in warned or any(share > 0.5 for share in shares)]
    return f"{what}. Try: {advice(_remedies(config, seen, accuracy is not None), config, seen)}."


def _remedies(config: Mapping[str, Any], kinds: Collection[str], classes: bool) -> list[Remedy]:
    remedies: list[Remedy] = []
    if str(value(config, "loss._target_")).endswith(".SpikeSimilarity"):
        remedies.append(Remedy("", "loss=ce_count (this loss ties no class to an output neuron)"))
    far = unusual_values(config, kinds)
    remedies += far
    epochs = config.get("epochs")
    if isinstance(epochs, int) and epochs <= FEW_EPOCHS:
        remedies.append(Remedy("", f"more epochs (epochs={max(20, 4 * epochs)})"))
    if config.get("max_steps") is not None:
        remedies.append(Remedy("", "max_steps=null"))
    remedies += more_steps(config)
    if far:
        return remedies  # other changes would leave such a value as it is
    if "silent" in kinds:
        remedies.append(lower_threshold(config))
    if "saturated" in kinds:
        remedies.append(Remedy("neuron.beta", "a faster leak (neuron.beta=0.5)", LESS))
    if classes and config.get("readout") is None:
        remedies.append(Remedy("", "readout=li loss=ce_membrane"))
    if value(config, "encoder._target_") not in ("snnrun.encoder.Direct", "snnrun.encoder.Identity", None):
        remedies.append(Remedy("", "encoder=direct"))
    remedies.append(Remedy("model.norm", "model.norm=batch"))
    either = {"silent": ("larger", MORE), "saturated": ("smaller", LESS)}
    rates = [either[kind] for kind in kinds if kind in either]
    if len(rates) == 1:
        remedies.append(Remedy("optimizer.lr", f"a {rates[0][0]} optimizer.lr", rates[0][1]))
    else:
        remedies.append(Remedy("optimizer.lr", "a smaller or larger optimizer.lr"))
    return [*remedies, Remedy("", "more epochs")]
