"""The command that runs a job again, from a record of a possible stranger.

A reader pastes this line into a shell. So every word is quoted, and only overrides of the config are taken from the
record: ``trust=``, ``--config-dir``, other flags and Hydra's own settings run code or write elsewhere, and may be a
stranger's. If the record has any of these, a remark beside the command names them.
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
    """The overrides among the words of a job, as a line for a shell; ``several``: the job is a sweep."""
    overrides = [word for word in words if is_override(word)]
    return shlex.join(["snnrun", *(["-m"] if several else []), *overrides])


def is_override(word: str) -> bool:
    """True if the word sets, adds or deletes a key of a run's config, and nothing else."""
    return bool(OVERRIDE.match(word)) and not RUNNER.match(word)


def remark(command: Sequence[str]) -> str:
    """A remark on user code in the recorded command, which :func:`command_of` leaves out; or nothing."""
    code = list(dict.fromkeys(_code_words(command)))
    if not code:
        return ""
    words = " ".join(printable(shlex.quote(word), LONGEST) for word in code)
    them = "it" if len(code) == 1 else "them"
    return (
        f"The recorded command also named code outside snnrun: {words}. Without {them} the line above fails. "
        f"Add {them} if that code is yours or you trust it: it runs on your machine."
    )


def folder_remark(command: Sequence[str]) -> str:
    """A remark on the recorded command's ``--config-dir``, for a command without it; or nothing."""
    folders = [word for word in _code_words(command) if word.startswith("--config-dir=")]
    if not folders:
        return ""
    return (
        f"The recorded command had {printable(shlex.quote(folders[0]), LONGEST)}, as seen from where it was started. "
        "Add --config-dir if that folder is yours or you trust it: code in it runs on your machine."
    )


def _code_words(command: Sequence[str]) -> list[str]:
    code, words = [], list(command)
    while words:
        word = words.pop(0)
        if word.startswith("trust=") or word.startswith("--config-dir="):
            code.append(word)
        elif word == "--config-dir":
            code.append(f"--config-dir={words.pop(0) if words else ''}")
    return code
