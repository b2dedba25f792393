"""A refused argument, by the facts of the error: other words of its message may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from snnrun.errors import ArgumentError, Description


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
