"""A folder for data that is still to come: if none comes, none is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make ``path`` and the folders above it; whatever of them was made and is empty in the end is taken away again.

    So a misspelt ``data_dir``, for which a download fails, leaves nothing.
    """
    new = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in new:
            with suppress(OSError):
                each.rmdir()
