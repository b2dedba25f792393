"""The jobs of overrides with several values, in Hydra's grammar and in the order of its grid sweeper."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from hydra.core.override_parser.types import Override


def words(override: Override) -> Iterator[str]:
    """An override for each value, as in the record of a job.

    Raises:
        HydraException: for an interval, which is not a list of values.
    """
    key = override.get_key_element()
    values = override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
    return (f"{key}={value}" for value in values)


def grid(overrides: Iterable[Override]) -> list[tuple[str, ...]]:
    """Every combination of values; the last override changes fastest.

    Of several overrides of one key the last counts, in the position of the first.
    """
    lists = {override.get_key_element(): tuple(words(override)) for override in overrides}
    return list(itertools.product(*lists.values()))
