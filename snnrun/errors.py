"""Every error that a user can cause, with its exit code.

::

    Exception
    ├── SnnrunError             the user can fix it; shown without a traceback
    │   ├── ConfigError         2  the command or a config asks for what cannot be run
    │   │   └── NoSuchRun          no run has this name
    │   ├── DataError           3  data is missing or invalid
    │   ├── NonFiniteError      4  a loss or gradient became infinite or NaN
    │   ├── OutOfMemoryError    5  the device ran out of memory
    │   ├── StorageError        6  a file of the record could not be written
    │   ├── NotReproduced       8  a repeated run has another result
    │   ├── ProcessLost         9  one of several processes was killed, or is silent
    │   ├── Elsewhere              another process failed; with the code of its error
    │   ├── TimeUp            143  max_seconds are over               (snnrun.training.stop)
    │   └── Pruned                 a search stopped the run           (snnrun.training.stop)
    ├── ValueError
    │   ├── ArgumentError          an argument is not what was expected, by its name
    │   └── PartError              a part of a config cannot be built (snnrun.config.build)
    └── Unreadable                 a file is missing or damaged       (snnrun.system.safe_read)

A message has the expected value, the actual value, and advice. Code reads the fields of an error, never its text.
Errors of other libraries have no fields; only ``snnrun.system.foreign`` reads their text.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class ExitCode(NamedTuple):
    """An exit code of the command."""

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
    """Base of every error that the user can fix."""

    exit_code = exit_code("BUG")


class ConfigError(SnnrunError):
    """The command line or a config file asks for something that cannot be run.

    Attributes:
        fault: the fault of a key, if one key is wrong.
    """

    exit_code = exit_code("CONFIG")
    fault: Fault | None = None

    @classmethod
    def of(cls, argument: ArgumentError) -> ConfigError:
        """The error for an invalid setting."""
        fault = Fault.of(argument)
        error = cls(str(fault))
        error.fault = fault
        return error


class NoSuchRun(ConfigError):
    """A word of the command matches no run.

    Attributes:
        word: the word, in printable form.
        root: the folder that was searched.
    """

    def __init__(self, word: str, root: object, *, kind: str = "a run", none: str = "no run") -> None:
        super().__init__(
            f"{word}: expected {kind}, but there is no such folder, and {none} of that name in {root}; `snnrun runs` "
            "lists those there are"
        )
        self.word, self.root = word, root

    def __reduce__(self) -> Any:
        return _unpickle, (type(self), self.args, self.__dict__)


class DataError(SnnrunError):
    """Data that a task needs is missing or invalid."""

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
    """A repeated run has another result."""

    exit_code = exit_code("NOT_REPRODUCED")


class ProcessLost(SnnrunError):
    """One of several processes that train together was killed, or does not answer.

    Attributes:
        first_rank: the lowest remaining rank, which reports it.
    """

    exit_code = exit_code("PROCESS_LOST")
    first_rank = 0


class Elsewhere(SnnrunError):
    """Another of several processes ended with an error; has its message and exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Description(str):
    """The description of a value that is too large to show, such as ``shape [4, 3]`` for a tensor."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ArgumentError(ValueError):
    """An argument is invalid.

    ``str()`` is ``NAME: expected EXPECTED, got GOT; ADVICE``. With ``others`` it is
    ``NAME, OTHER: expected EXPECTED, got NAME=VALUE and OTHER=VALUE``.

    Attributes:
        name: the argument, such as ``beta``, or an item of it, such as ``layers[2]``.
        expected: the expected value, in words.
        got: the actual value, or a :class:`Description` of it. With ``others``: a tuple, the value of each.
        advice: how to fix it. Default: empty.
        others: the arguments that conflict with ``name``. Default: none.
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
        except Exception:  # a function, an open file: another process gets a description
            got = Description(repr(self.got))
        fields = {**self.__dict__, "got": got}
        return _unpickle, (type(self), (self.name, self.expected, got), fields)

    @property
    def argument(self) -> str:
        """The argument without indices: ``layers`` for ``layers[2]``."""
        return self.name.partition("[")[0]

    def sentence(self, show: Callable[[object], str] = repr) -> str:
        """The message without the name; ``show`` formats a value."""
        got = show(self.got)
        if self.others and isinstance(self.got, tuple):
            pairs = zip((self.name, *self.others), self.got, strict=True)
            got = " and ".join(f"{name}={show(value)}" for name, value in pairs)
        return f"expected {self.expected}, got {got}" + (f"; {self.advice}" if self.advice else "")


class Fault(NamedTuple):
    """The fault of one key of a config.

    Attributes:
        path: the dotted key.
        message: the fault, with values in YAML.
        refused: the value is wrong, so that it helps to know the default.
        for_training: only a fault for training, not for a test of the weights.
    """

    path: str
    message: str
    refused: bool = False
    for_training: bool = False

    @classmethod
    def of(cls, error: ArgumentError, path: str | None = None) -> Fault:
        """The fault of an argument; ``path``: its dotted key, if that is not its name."""
        together = f"together with {', '.join(error.others)}: " if error.others else ""
        return cls(error.name if path is None else path, together + error.sentence(as_yaml), True)

    @property
    def key(self) -> str:
        """The key without indices: ``model.layers`` for ``model.layers[2]``."""
        return ".".join(part.partition("[")[0] for part in self.path.split("."))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def as_yaml(value: object) -> str:
    """A value for a message: ``null``, ``true`` and ``false`` as in a config, text in quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is list:
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {as_yaml(item)}' for key, item in value.items())}}}"
    return repr(value)


def _unpickle(kind: type[Exception], arguments: tuple[Any, ...], fields: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(fields)
    return error
