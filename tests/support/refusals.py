"""Errors by their facts; the other words of a message may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from snnrun.errors import ArgumentError, Description, SnnrunError


@contextmanager
def refuses(names: str, got: object, *facts: str) -> Iterator[pytest.ExceptionInfo[ArgumentError]]:
    """Expect an :class:`ArgumentError`.

    Args:
        names: the argument, such as ``layers[2]``; with the arguments that conflict with it, ``beta, tau``.
        got: the value, or the text of its description.
        facts: what the rest of the message contains, such as a limit, the choices or a remedy.
    """
    with pytest.raises(ArgumentError) as error:
        yield error
    argument: Any = error.value
    assert ", ".join((argument.name, *argument.others)) == names
    # By the text, since 1 == True == 1.0.
    assert repr(argument.got) == (got if isinstance(argument.got, Description) else repr(got))
    for fact in facts:
        assert fact in argument.expected or fact in argument.advice, (fact, argument.expected, argument.advice)


@contextmanager
def fails(kind: type[SnnrunError], *facts: str) -> Iterator[pytest.ExceptionInfo[SnnrunError]]:
    """Expect an error of this kind, whose message contains the facts: a file, a value, a limit, a remedy."""
    with pytest.raises(kind) as error:
        yield error
    for fact in facts:
        assert fact in str(error.value), (fact, str(error.value))
