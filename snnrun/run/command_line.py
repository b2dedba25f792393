"""The command that runs a job again, made of a record that may be a stranger's.

A reader pastes this line into a shell. So every word is quoted, and only overrides of the config are taken from the
record: ``trust=``, ``--config-dir``, other flags and Hydra's own settings run code or write elsewhere, and a stranger
could have put them there. What the record names of these is said beside the command, for the reader to judge.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from snnrun.system.safe_read import printable

OVERRIDE = re.compile(r"(?:\+{0,2}\w[\w./@:-]*=|~\w[\w./@:-]*(?:=|$))")
RUNNER = re.compile(r"[+~]*(?:trust|on_error|hydra(?:[./].*)?)(?:=|$)")
LONGEST = 200  # letters of a name in a remark


def command_of(words: Sequence[str], *, several: bool = False) -> str:
    """The words of a job as a line for a shell; ``several``: they make a sweep. Only overrides are taken."""
    overrides = [word for word in words if is_override(word)]
    return shlex.join(["snnrun", *(["-m"] if several else []), *overrides])


def is_override(word: str) -> bool:
    """Whether the word sets, adds or deletes a key of a run's config, and nothing else."""
    return bool(OVERRIDE.match(word)) and not RUNNER.match(word)


def remark(command: Sequence[str]) -> str:
    """What must be added to the line of :func:`command_of`: what the recorded command named of the user's code."""
    named = list(dict.fromkeys(_named(command)))
    if not named:
        return ""
    words = " ".join(printable(shlex.quote(word), LONGEST) for word in named)
    them = "it" if len(named) == 1 else "them"
    return (
        f"The recorded command also named code outside snnrun: {words}. Without {them} the line above fails. "
        f"Add {them} if that code is yours or you trust it: it runs on your machine."
    )


def folder_remark(command: Sequence[str]) -> str:
    """What the recorded command had as ``--config-dir``, for a command that lacks the folder; or nothing."""
    found = [word for word in _named(command) if word.startswith("--config-dir=")]
    if not found:
        return ""
    return (
        f"The recorded command had {printable(shlex.quote(found[0]), LONGEST)}, as seen from where it was started. "
        "Add --config-dir if that folder is yours or you trust it: code in it runs on your machine."
    )


def _named(command: Sequence[str]) -> list[str]:
    found, words = [], list(command)
    while words:
        word = words.pop(0)
        if word.startswith("trust=") or word.startswith("--config-dir="):
            found.append(word)
        elif word == "--config-dir":
            found.append(f"--config-dir={words.pop(0) if words else ''}")
    return found
