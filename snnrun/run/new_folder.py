"""Makes the folder of a new run; below the folder that the user named no link is followed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from snnrun.errors import StorageError
from snnrun.system import files
from snnrun.system.storage import storing

if TYPE_CHECKING:
    from snnrun.job.compose import Composition


def make(folder: Path, record: Mapping[str, str]) -> Path:
    """Make the folder of a run, with the record of its composition in ``.hydra/``; returns its absolute path.

    Raises:
        StorageError: if it cannot be made.
    """
    with _storage_errors():
        folder.mkdir(parents=True, exist_ok=True)
        path = folder.resolve()
    mark(path / ".hydra", record)
    return path


def make_job(composition: Composition) -> Path:
    """Make the folder of a job of a sweep, in the folder of the sweep.

    Raises:
        StorageError: if it cannot be made.
    """
    with _storage_errors():
        composition.root.mkdir(parents=True, exist_ok=True)
        root = composition.root.resolve()
        folder = root / str(composition.subdir)
        with storing(folder):
            files.make_folders(root, folder)
            files.write_text(root / "multirun.yaml", composition.record()["hydra.yaml"])
    mark(folder / ".hydra", composition.record())
    return folder


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the run folder cannot be made: {error}") from error
    except RecursionError as error:  # pathlib makes the folders above a folder by recursion
        raise StorageError("the run folder cannot be made: there are too many folders in its path") from error


def mark(folder: Path, record: Mapping[str, str]) -> None:
    """Write ``record`` into ``folder``, the ``.hydra/`` of a run, unless the run folder has another run's record.

    Raises:
        StorageError: if a file cannot be written.
    """
    if any((folder.parent / name).exists() for name in ("manifest.json", "result.json")):
        return  # this run will be refused
    with storing(folder):
        write(folder, record)


def write(folder: Path, record: Mapping[str, str]) -> None:
    """Write the files of ``.hydra/`` into ``folder``."""
    files.make_folder(folder)
    for name, text in record.items():
        files.write_text(folder / name, text)


def make_dated(output_dir: str, kind: str) -> Path:
    """Make the folder ``output_dir/DATE/TIME-KIND-TOKEN``."""
    now = datetime.now()
    name = f"{now:%H-%M-%S}-{kind}-{secrets.token_hex(4)}"
    folder = Path(output_dir).expanduser() / f"{now:%Y-%m-%d}" / name
    with storing(folder):
        folder.mkdir(parents=True)
        return files.without_links(folder)
