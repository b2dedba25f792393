"""Reads the text of errors of other libraries and of a user's own classes, which have no fields.

Only this module parses messages. Our own errors are in ``snnrun.errors``.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnrun.errors import Fault, as_yaml

# "name: ...", "name[1]: ...", "name (a remark): ...", "name, other: ..."
_NAMED = re.compile(r"(\w+(?:\[\d+\])*)(?: \([^)]*\))?((?:, \w+)*): (.+)", re.DOTALL)
_GOT = re.compile(r"(.*, got )([^;]*)(;.*)?", re.DOTALL)
_WORDS = {"None": "null", "True": "true", "False": "false"}
# Messages of the library loader, torch and the C library about too little memory.
_NO_MEMORY = re.compile(
    r"failed to map segment|cannot allocate memory|can't allocate memory|cannot map zero-fill pages"
    r"|can't start new thread",
    re.IGNORECASE,
)
_TORCH_NO_MEMORY = ("can't allocate memory", "Storage size calculation overflowed")


def fault_of(error: Exception) -> Fault | None:
    """The fault in ``ValueError("name: expected …, got …")`` of a user's class; None for another form.

    The fault's path is the name. ``got None`` becomes ``got null``, as in the config.
    """
    match = _NAMED.fullmatch(str(error)) if isinstance(error, (ValueError, TypeError)) else None
    if match is None:
        return None
    name, others, message = match.groups()
    got = _GOT.fullmatch(message)
    if got:
        message = got[1] + _WORDS.get(got[2], got[2]) + (got[3] or "")
    together = f"together with {others[2:]}: " if others else ""
    return Fault(name, together + message, got is not None)


def unknown_argument(error: Exception) -> str | None:
    """The unknown argument in Python's error message."""
    match = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return match[1] if match else None


def guess(error: Exception, config: Mapping[str, Any], base: object, part: str) -> Fault:
    """The likely fault behind an error that names no argument.

    Args:
        config: the arguments of the part.
        base: their defaults.
        part: the part, by its name in a command.

    Returns:
        A fault whose path is the argument; "" if it may be any.
    """
    message = text_of(error)
    defaults = base if isinstance(base, Mapping) else {}
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    changed = [key for key, value in arguments.items() if key not in defaults or repr(defaults[key]) != repr(value)]
    candidates = changed or list(arguments)
    for narrower in (
        [key for key in changed if kind(arguments[key]) != kind(defaults.get(key))],
        [key for key in candidates if re.search(rf"\b{re.escape(key)}\b", message, re.IGNORECASE)],
        [key for key in candidates if re.search(rf"(?<![\w.]){re.escape(str(arguments[key]))}(?![\w.])", message)],
        changed,
    ):
        if len(narrower) == 1:
            key = narrower[0]
            text = f"expected a value that {part} takes, got {as_yaml(arguments[key])} ({message})"
            return Fault(key, text, True)
    return Fault("", message)


def text_of(error: Exception) -> str:
    """The message of an error, with its type unless that is a common one for arguments."""
    message = str(error)
    if isinstance(error, (ValueError, TypeError)):
        return message or type(error).__name__
    return f"{type(error).__name__}: {message or type(error).__name__}"


def without_name(error: Exception, path: Path) -> str:
    """The message of an error about a file, in one line, with ``it`` for the name of the file."""
    return " ".join(str(error).replace(repr(str(path)), "it").split()) or type(error).__name__


def kind(value: object) -> str:
    """The kind of a value of a config, in words."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "null" if value is None else "a mapping"


def torch_lacks_memory(error: Exception) -> bool:
    """True for torch's error about too little CPU memory: a RuntimeError that only its text identifies."""
    return any(words in str(error) for words in _TORCH_NO_MEMORY)


def lacks_memory(error: BaseException | None) -> bool:
    """True for an error about too little memory, or address space for a library."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(error, (ImportError, OSError, RuntimeError)) and _NO_MEMORY.search(str(error)):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
