"""Imports what a command works with, all at one go and with the garbage collector held off."""

from __future__ import annotations

import gc
import sys
import tempfile

from snnrun.errors import StorageError


def load(command: str) -> None:
    """Import torch and, to train, all that training needs; of no effect where torch is imported already.

    torch and its compiler make half a million objects that live as long as the process. The collector would search
    them again and again while they come, which takes a fifth of the time from launch to the first training step, and
    once more in the middle of training: so it rests meanwhile, and lets them alone for good (``gc.freeze``).

    Raises:
        StorageError: there is no folder for temporary files, which torch's compiler asks for as it is imported.
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
    resting = gc.isenabled()
    gc.disable()
    try:
        import torch

        if command == "train":
            import snnrun.run.execute  # noqa: F401

            # The first optimizer of a process imports torch's compiler, whether or not anything is compiled.
            torch.optim.SGD([torch.zeros(1)])
    finally:
        gc.freeze()
        if resting:
            gc.enable()
