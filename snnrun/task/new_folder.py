"""A folder for future data, which is removed if no data comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Create ``path`` and the folders above it; remove the new ones that are empty in the end.

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
