"""Every error that a user can cause, and the exit code that the command ends with.

::

    Exception
    ├── SnnrunError             the user's to mend, and told without a traceback
    │   ├── ConfigError         2  the command or a config asks for what cannot be run
    │   │   └── NoSuchRun          a word means no run
    │   ├── DataError           3  data is missing, or is not what it should be
    │   ├── NonFiniteError      4  a loss or gradient became infinite or NaN
    │   ├── OutOfMemoryError    5  the device ran out of memory
    │   ├── StorageError        6  a file of the record could not be written
    │   ├── NotReproduced       8  a run came out otherwise when it was run again
    │   ├── ProcessLost         9  one of several processes was killed, or is silent
    │   ├── Elsewhere              another process failed; the code is that of its error
    │   ├── TimeUp            143  max_seconds are over               (snnrun.training.stop)
    │   └── Pruned                 a search gave the run up           (snnrun.training.stop)
    ├── ValueError
    │   ├── ArgumentError          an argument is not what was expected, by its name
    │   └── PartError              a part of a config cannot be built (snnrun.config.build)
    └── Unreadable                 a file is missing or damaged       (snnrun.system.safe_read)

A message says what was expected, what came, and what to do. Code that wants to know more reads the fields of an error,
never its text. What other libraries raise has no fields; only ``snnrun.system.foreign`` reads their text.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class ExitCode(NamedTuple):
    """How the command can end."""

    name: str
    code: int
    meaning: str


EXIT_CODES = (
    ExitCode("DONE", 0, "done"),
    ExitCode("BUG", 1, "a bug"),
    ExitCode("CONFIG", 2, "bad command or config"),
    ExitCode("DATA", 3, "missing data"),
    ExitCode("NON_FINITE", 4, "a loss or gradient that is not finite"),
    ExitCode("MEMORY", 5, "out of memory"),
    ExitCode("STORAGE", 6, "the record could not be written"),
    ExitCode("SWEEP", 7, "a job of a sweep did not finish"),
    ExitCode("NOT_REPRODUCED", 8, "not reproduced"),
    ExitCode("PROCESS_LOST", 9, "one of several processes was lost"),
    ExitCode("INTERRUPTED", 130, "interrupted"),
    ExitCode("STOPPED", 143, "stopped by SIGTERM, SIGUSR1 or max_seconds"),
)


def exit_code(name: str) -> int:
    """The code with this name in the table."""
    return next(each.code for each in EXIT_CODES if each.name == name)


class SnnrunError(Exception):
    """Base of every error that is the user's to mend."""

    exit_code = exit_code("BUG")


class ConfigError(SnnrunError):
    """The command line or a config file asks for something that cannot be run.

    Attributes:
        fault: the key that is to blame, where one key is.
    """

    exit_code = exit_code("CONFIG")
    fault: Fault | None = None

    @classmethod
    def of(cls, argument: ArgumentError) -> ConfigError:
        """The error that a setting is not what was expected."""
        fault = Fault.of(argument)
        error = cls(str(fault))
        error.fault = fault
        return error


class NoSuchRun(ConfigError):
    """A word of the command means no run.

    Attributes:
        word: the word, as it may be shown.
        root: the folder that was searched.
    """

    def __init__(self, word: str, root: object, *, kind: str = "a run", none: str = "no run") -> None:
        super().__init__(
            f"{word}: expected {kind}, but there is no such folder, and {none} of that name in {root}; `snnrun runs` "
            "lists those there are"
        )
        self.word, self.root = word, root

    def __reduce__(self) -> Any:
        return _unpickled, (type(self), self.args, self.__dict__)


class DataError(SnnrunError):
    """Data that a task needs is missing, or is not what it should be."""

    exit_code = exit_code("DATA")


class NonFiniteError(SnnrunError):
    """A loss or gradient became infinite or NaN during training."""

    exit_code = exit_code("NON_FINITE")


class OutOfMemoryError(SnnrunError):
    """The device ran out of memory."""

    exit_code = exit_code("MEMORY")


class StorageError(SnnrunError):
    """A file of the record could not be written."""

    exit_code = exit_code("STORAGE")


class NotReproduced(SnnrunError):
    """A run came out otherwise when it was run again."""

    exit_code = exit_code("NOT_REPRODUCED")


class ProcessLost(SnnrunError):
    """One of several processes that train together was killed, or does not answer.

    Attributes:
        first_left: the lowest rank that is left, which tells of it.
    """

    exit_code = exit_code("PROCESS_LOST")
    first_left = 0


class Elsewhere(SnnrunError):
    """Another of several processes ended with an error; its words and its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Description(str):
    """Words that stand for a value which is too large to be shown, such as ``shape [4, 3]`` for a tensor."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ArgumentError(ValueError):
    """An argument is not what was expected.

    ``str()`` is ``NAME: expected EXPECTED, got GOT; ADVICE``. With ``others`` it is
    ``NAME, OTHER: expected EXPECTED, got NAME=VALUE and OTHER=VALUE``.

    Attributes:
        name: the argument, such as ``beta``, or an item of it, such as ``layers[2]``.
        expected: what was expected, in words.
        got: the value that came; or a :class:`Description` of it. With ``others``: a tuple, the value of each.
        advice: what to do. Default: nothing more than to give what was expected.
        others: the arguments that do not go with ``name``. Default: it is wrong by itself.
    """

    def __init__(self, name: str, expected: str, got: object, *, advice: str = "", others: Sequence[str] = ()) -> None:
        super().__init__(name, expected, got)
        self.name, self.expected, self.got, self.advice, self.others = name, expected, got, advice, tuple(others)

    def __str__(self) -> str:
        return f"{', '.join((self.name, *self.others))}: {self.sentence()}"

    def __reduce__(self) -> Any:
        try:
            pickle.dumps(self.got)
            got = self.got
        except Exception:  # a function, an open file: another process gets it described
            got = Description(repr(self.got))
        fields = {**self.__dict__, "got": got}
        return _unpickled, (type(self), (self.name, self.expected, got), fields)

    @property
    def argument(self) -> str:
        """The argument without the indices of an item: ``layers`` for ``layers[2]``."""
        return self.name.partition("[")[0]

    def sentence(self, show: Callable[[object], str] = repr) -> str:
        """The message without the name; ``show`` writes a value."""
        got = show(self.got)
        if self.others and isinstance(self.got, tuple):
            pairs = zip((self.name, *self.others), self.got, strict=True)
            got = " and ".join(f"{name}={show(value)}" for name, value in pairs)
        return f"expected {self.expected}, got {got}" + (f"; {self.advice}" if self.advice else "")


class Fault(NamedTuple):
    """What is wrong with one key of a config.

    Attributes:
        path: the dotted key.
        message: what is wrong, with values as YAML writes them.
        refused: whether it is the value that was refused, so that it helps to know the default.
        for_training: whether only training minds it, and a test of the weights does not.
    """

    path: str
    message: str
    refused: bool = False
    for_training: bool = False

    @classmethod
    def of(cls, error: ArgumentError, path: str | None = None) -> Fault:
        """The fault that an argument is; ``path`` is its dotted key, if that is not its name."""
        together = f"together with {', '.join(error.others)}: " if error.others else ""
        return cls(error.name if path is None else path, together + error.sentence(as_yaml), True)

    @property
    def key(self) -> str:
        """The key without the indices of an item: ``model.layers`` for ``model.layers[2]``."""
        return ".".join(part.partition("[")[0] for part in self.path.split("."))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def as_yaml(value: object) -> str:
    """A value as a message of the command shows it: ``null``, ``true`` and ``false`` as in a config, text in quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is list:
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {as_yaml(item)}' for key, item in value.items())}}}"
    return repr(value)


def _unpickled(kind: type[Exception], arguments: tuple[Any, ...], fields: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(fields)
    return error
