"""Imports the packages of a command, without the garbage collector."""

from __future__ import annotations

import gc
import sys
import tempfile

from snnrun.errors import StorageError


def load(command: str) -> None:
    """Import torch and, to train, all that training needs; without effect if torch is imported already.

    torch and its compiler make half a million objects that live as long as the process. To search them again and again
    would take a fifth of the time from launch to the first training step, and more during training. So the collector
    is off meanwhile, and never searches them (``gc.freeze``).

    Raises:
        StorageError: without a folder for temporary files, which the import of torch's compiler needs.
    """
    if command == "train":
        try:
            tempfile.gettempdir()
        except FileNotFoundError as error:
            raise StorageError(
                "expected a folder for temporary files, but none of $TMPDIR, /tmp, /var/tmp and the working directory "
                "can be written to; free some space, or set TMPDIR=FOLDER"
            ) from error
    if "torch" in sys.modules:
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        import torch

        if command == "train":
            import snnrun.run.execute  # noqa: F401

            # The first optimizer of a process imports torch's compiler, whether or not anything is compiled.
            torch.optim.SGD([torch.zeros(1)])
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
