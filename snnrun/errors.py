"""The errors a user can cause, each with the exit code that the command ends with.

A message says what was expected, what came, and what to do. The command prints it without a traceback.
"""

from __future__ import annotations


class SnnrunError(Exception):
    """Base of every error that is the user's to mend."""

    exit_code = 1


class ConfigError(SnnrunError):
    """The command line or a config file asks for something that cannot be run."""

    exit_code = 2


class DataError(SnnrunError):
    """Data that a task needs is missing, or is not what it should be."""

    exit_code = 3


class NonFiniteError(SnnrunError):
    """A loss or gradient became infinite or NaN during training."""

    exit_code = 4


class OutOfMemoryError(SnnrunError):
    """The device ran out of memory."""

    exit_code = 5


class StorageError(SnnrunError):
    """A file of the record could not be written."""

    exit_code = 6


class NotReproduced(SnnrunError):
    """A run came out otherwise when it was run again."""

    exit_code = 8


class ProcessLost(SnnrunError):
    """One of several processes that train together was killed, or does not answer.

    Attributes:
        first_left: the lowest rank that is left, which tells of it.
    """

    exit_code = 9
    first_left = 0


class Elsewhere(SnnrunError):
    """Another of several processes ended with an error; its words and its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
