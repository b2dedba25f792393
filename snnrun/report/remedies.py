"""What may help a network that does not learn: only what the config of the run has, and has not done yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST = 4
#: Learning rates of conf/optimizer, by the class of the optimizer.
LEARNING_RATES: Mapping[str, float] = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 1e-3, "Adamax": 2e-3}

#: A remedy: the key of the config that it needs (empty: none), and the words for it.
Remedy = tuple[str, str]


def advice(remedies: Sequence[Remedy], config: Mapping[str, Any]) -> str:
    """The first few remedies that this config can take, most helpful first."""
    # Words that a shell would take apart are in quotes.
    able = [
        words
        for key, words in remedies
        if has(config, key) and words.translate({39: None, 34: None}) != f"{key}={value(config, key)}"
    ]
    return "; ".join(able[:MOST])


def has(config: Mapping[str, Any], key: str) -> bool:
    """Whether the config has ``group.name``, and not as a switch that is off; a switch that is off is no remedy."""
    group, _, name = key.partition(".")
    part = config.get(group)
    return not key or (isinstance(part, Mapping) and name in part and part[name] is not False)


def value(config: Mapping[str, Any], key: str) -> Any:
    """The value of ``group.name``, or None."""
    group, _, name = key.partition(".")
    part = config.get(group)
    return part.get(name) if isinstance(part, Mapping) else None


def learning_rate(config: Mapping[str, Any]) -> Remedy | None:
    """The optimizer's usual learning rate, where the config's is ten times larger or smaller, or further off."""
    lr, target = value(config, "optimizer.lr"), value(config, "optimizer._target_")
    usual = LEARNING_RATES.get(str(target).rpartition(".")[2])
    if usual is None or isinstance(lr, bool) or not isinstance(lr, (int, float)) or usual / 10 < lr < usual * 10:
        return None
    return ("optimizer.lr", f"optimizer.lr={usual:g}, the usual one of this optimizer, where {lr:g} is set")
