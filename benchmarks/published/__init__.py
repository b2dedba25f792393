"""Published experiments in the libraries that published them: the other side of ``docs/results.md``.

A file for each preset of ``conf/experiment`` that has such a source, of the same name; each is written after its source
and does what that does, with that library's neurons, surrogate, loss and reset. All share one way of reading data,
batching and testing (``training.py``), so that what differs from snnrun is what the library does. One command trains
one of them with one seed and leaves a JSON record::

    python -m benchmarks.published snntorch_tutorial_5 --seed 0 --data data --out records
"""

from __future__ import annotations

import importlib
from pathlib import Path

from benchmarks.published.recipe import Recipe

_COMMON = ("__init__", "__main__", "beside", "recipe", "training")


def names() -> list[str]:
    """The published experiments that can be run here."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _COMMON)


def recipe(name: str) -> type[Recipe]:
    """One of them.

    Raises:
        ImportError: its library is not installed.
    """
    found: type[Recipe] = importlib.import_module(f"{__name__}.{name}").Published
    return found
