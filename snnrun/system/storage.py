"""The error of a run, a sweep or a page if a file cannot be written."""

from __future__ import annotations

from pathlib import Path

from snnrun.errors import StorageError


class storing:
    """Context in which a failing write becomes a StorageError that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, RecursionError)):
            reason = "too many levels" if isinstance(error, RecursionError) else error.strerror or error
            raise StorageError(
                f"{self.path}: writing failed: {reason}. Free some space or check the rights, or "
                "choose another output_dir"
            ) from error
