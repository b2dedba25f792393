"""The command that continues a stopped run, as a line for a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from snnrun.config import trust
from snnrun.job.arguments import Arguments
from snnrun.run import browse
from snnrun.system import safe_read, say
from snnrun.system.format import short
from snnrun.system.safe_read import Unreadable


def after(error: BaseException, arguments: Arguments) -> None:
    """Print the command if ``error`` ended a training run that has saved a state; a sweep prints its own."""
    folder = getattr(error, "folder", None)
    if isinstance(folder, Path) and not arguments.multirun and browse.read(folder).resumable:
        say.say(command(folder, arguments), error=True)


def command(folder: Path, arguments: Arguments) -> str:
    """``snnrun resume FOLDER``, with the trusted packages and the folder of parts of this command line."""
    words = ["snnrun", "resume", _plainly(folder)]
    if _names_code(folder):
        if arguments.config_dir is not None:
            words += ["--config-dir", _plainly(arguments.config_dir)]
        if arguments.trusted:
            words.append(f"trust=[{','.join(dict.fromkeys(arguments.trusted))}]")
    return shlex.join(words)


def _plainly(folder: Path) -> str:
    """The path in a form that is not a flag, ``key=value``, or the home of a user."""
    path = short(folder)
    if path.startswith("~"):  # ./~name would be the home too
        return str(folder.absolute())
    return f"./{path}" if path.startswith("-") or ("=" in path and not os.path.isabs(path)) else path


def _names_code(folder: Path) -> bool:
    """True if the config of the run in ``folder`` names code that needs trust."""
    try:
        config = safe_read.yaml_object(folder, "config.yaml")
    except Unreadable:
        return False
    return trust.names_code(config)
