"""The jobs that overrides with several values stand for: Hydra's grammar, and the order of its own grid sweeper."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from hydra.core.override_parser.types import Override


def words(override: Override) -> Iterator[str]:
    """An override for each value, as the record of a job shows it.

    Raises:
        HydraException: for an interval, which is no list of values.
    """
    key = override.get_key_element()
    values = override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
    return (f"{key}={value}" for value in values)


def grid(overrides: Iterable[Override]) -> list[tuple[str, ...]]:
    """Every combination of values; those of the last override change fastest.

    Of several overrides of one key the last counts, in the place of the first.
    """
    lists = {override.get_key_element(): tuple(words(override)) for override in overrides}
    return list(itertools.product(*lists.values()))
