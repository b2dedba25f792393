"""Paths of a user's own data."""

from __future__ import annotations

from pathlib import Path

from snnrun.errors import ArgumentError, DataError

#: Shape and number of classes of data without a path, so that the rest of a config can be checked: MNIST's.
STAND_IN = ((1, 28, 28), 10)


def check_path(path: object) -> str | None:
    """A path, or None if it is not set yet.

    Raises:
        ValueError: for anything else.
    """
    if path is not None and (not isinstance(path, str) or not path.strip() or "\0" in path):
        raise ArgumentError("path", "a path in data_dir, or an absolute one", path)
    return path


def locate(task: str, path: str, data_dir: str) -> Path:
    """``path``, relative to ``data_dir`` unless it is absolute or begins with ``~``.

    Raises:
        DataError: it does not exist.
    """
    place = Path(data_dir).expanduser() / Path(path).expanduser()
    try:
        if place.exists():
            return place
        nearer = Path(path).exists()
    except OSError as error:
        raise DataError(f"{task}: {place}: cannot be read: {error.strerror or error}") from None
    message = f"{task}: there is no {place}; a relative task.path starts in data_dir, which is {data_dir}"
    if nearer:
        message += f"\nThere is {path} in the working directory: set task.path={Path(path).absolute()} or data_dir=."
    raise DataError(message)


def no_path(task: str, example: str) -> DataError:
    """The error of a task without the path of its data."""
    return DataError(f"{task}: expected task.path, where the data lies (in data_dir, unless absolute), as in {example}")
