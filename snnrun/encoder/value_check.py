"""Checks of values, which a training step reads together with its loss.

On a GPU each reading waits for the device. So within :func:`deferred` a check only keeps the numbers that it needs; the
training step reads the numbers of all checks at once. Elsewhere a check reads its numbers immediately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor


class ValueChecks:
    """Checks whose numbers have not been read."""

    def __init__(self) -> None:
        self.numbers: list[Tensor] = []
        self._checks: list[tuple[int, Callable[..., None]]] = []

    def add(self, numbers: Sequence[Tensor], verify: Callable[..., None]) -> None:
        """One more check; see :func:`check_values`."""
        self.numbers += [number.detach() for number in numbers]
        self._checks.append((len(numbers), verify))

    def verify(self, values: Sequence[float]) -> None:
        """Make all checks, with the ``values`` of ``numbers``."""
        start = 0
        for count, verify in self._checks:
            verify(*values[start : start + count])
            start += count


_OPEN: ContextVar[ValueChecks | None] = ContextVar("value_checks", default=None)


@contextmanager
def deferred() -> Iterator[ValueChecks]:
    """Within this context checks are collected, and made by whoever has read their numbers."""
    checks = ValueChecks()
    token = _OPEN.set(checks)
    try:
        yield checks
    finally:
        _OPEN.reset(token)


def check_values(numbers: Sequence[Tensor], verify: Callable[..., None]) -> None:
    """Call ``verify`` with the values of ``numbers``, each ``[]``; it raises an error if they are wrong."""
    checks = _OPEN.get()
    if checks is None:
        verify(*(number.item() for number in numbers))
    else:
        checks.add(numbers, verify)
