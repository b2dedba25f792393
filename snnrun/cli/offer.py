"""The command that goes on with a run which was stopped, as a line that can be pasted into a shell."""

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
    """Print the command, if ``error`` ended a training run that has saved a state; a sweep names its own way on."""
    folder = getattr(error, "folder", None)
    if isinstance(folder, Path) and not arguments.multirun and browse.read(folder).resumable:
        say.say(command(folder, arguments), error=True)


def command(folder: Path, arguments: Arguments) -> str:
    """``snnrun resume FOLDER``, with what the user gave on this command line for code outside snnrun to be run."""
    words = ["snnrun", "resume", _plainly(folder)]
    if _names_code(folder):
        if arguments.config_dir is not None:
            words += ["--config-dir", _plainly(arguments.config_dir)]
        if arguments.trusted:
            words.append(f"trust=[{','.join(dict.fromkeys(arguments.trusted))}]")
    return shlex.join(words)


def _plainly(folder: Path) -> str:
    """The path, in a form that the command cannot take for a flag, for ``key=value``, or for the home of a user."""
    path = short(folder)
    if path.startswith("~"):  # ./~name would be taken for it too
        return str(folder.absolute())
    return f"./{path}" if path.startswith("-") or ("=" in path and not os.path.isabs(path)) else path


def _names_code(folder: Path) -> bool:
    """Whether the config of the run in ``folder`` names code that has to be trusted."""
    try:
        config = safe_read.yaml_object(folder, "config.yaml")
    except Unreadable:
        return False
    return trust.names_code(config)
