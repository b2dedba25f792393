"""Reads untrusted files: a run's folder may come from a stranger, or from a full disk.

Only small files are read whole, no link inside the folder is followed, nothing waits for a pipe, and the result is
plain data. Text from such a file is printed only through ``printable`` or ``shown``.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml
from yaml.reader import ReaderError

LARGEST = 1 << 20  # bytes of a JSON file; ours have some ten thousand
LARGEST_YAML = 1 << 18  # bytes of a YAML file, which is slower to read
LONGEST_LINE = 1 << 20
DEEPEST = 50  # levels of nesting

_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Characters that YAML forbids; parsers find them at different times, or not at all.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Terminal control sequences: ESC [ … letter, ESC ] … BEL, and the like, also with the one-byte forms.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)


class Heavy(yaml.MarkedYAMLError):
    """YAML that is short, but too expensive to load."""

    def __init__(self, problem: str, event: yaml.Event) -> None:
        # The C loader's marks have fewer fields than a Mark, but enough for a message.
        super().__init__(problem=problem, problem_mark=cast(Any, event.start_mark))


class Unreadable(Exception):
    """A file is missing or invalid, with a short message. ``missing``: there is no such file."""

    missing = False


class Missing(Unreadable):
    """There is no such file."""

    missing = True


@contextmanager
def open_regular(folder: Path, name: str) -> Iterator[BinaryIO]:
    """The regular file ``name`` (parts separated by ``/``) in ``folder``, for reading.

    Raises:
        Unreadable: if there is none.
    """
    if "\0" in name:
        raise Unreadable("embedded null byte")  # Python's own message depends on the release
    parts, path = name.split("/"), folder
    try:
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise Unreadable("a link" if part is parts[-1] else f"{part} is a link")
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        raise Missing("missing") from None
    except (OSError, ValueError) as error:
        raise Unreadable(printable(getattr(error, "strerror", None) or error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("no file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise Unreadable(printable(error.strerror or error)) from None


def head(folder: Path, name: str, limit: int = LARGEST_YAML) -> str:
    """The first ``limit`` bytes, as text."""
    with open_regular(folder, name) as file:
        return file.read(limit).decode("utf-8", errors="replace")


def json_object(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file; NaN and infinity become None."""
    with open_regular(folder, name) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Unreadable(f"more than {LARGEST >> 20} MiB")
    return parse_json(data)


def parse_json(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``."""
    try:
        value = json.loads(
            data.decode("utf-8-sig", errors="replace"),
            parse_int=_int,
            parse_float=_float,
            parse_constant=lambda _: None,
        )
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"no JSON{where}") from None
    if not isinstance(value, dict):
        raise Unreadable("no JSON object")
    # Code that walks through it is recursive.
    if data.count(b"[") + data.count(b"{") > DEEPEST and _deep(value):
        raise Unreadable("nested too deeply")
    return value


def yaml_object(folder: Path, name: str) -> dict[str, Any]:
    """The mapping in a YAML file, with text keys.

    Aliases are rejected: our files have none, and a few lines of them can stand for billions of values.
    """
    with open_regular(folder, name) as file:
        data = file.read(LARGEST_YAML + 1)
    if len(data) > LARGEST_YAML:
        raise Unreadable(f"more than {LARGEST_YAML >> 10} KiB")
    return yaml_text(data.decode("utf-8-sig", errors="replace"))


def yaml_text(text: str) -> dict[str, Any]:
    """The mapping in a YAML text, as in :func:`yaml_object`."""
    try:
        weigh(text, most=0)
        value = yaml.load(text, Loader=_LOADER)
    except Heavy as error:
        raise Unreadable(str(error.problem)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(f"no plain YAML{f', line {mark.line + 1}' if mark else ''}") from None
    # A tag may not fit its text: a date in month 13, a number of a million digits.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        raise Unreadable("no plain YAML") from None
    if not isinstance(value, dict):
        raise Unreadable("it is empty" if value is None else "no mapping of keys to values, such as epochs: 5")
    return {_key(key): item for key, item in value.items()}


def weigh(text: str, most: int = 100_000) -> None:
    """Check YAML before it is loaded: it may be too heavy for a loader, or for code that uses the result.

    Some C loaders crash on deep nesting, others have their own limit; and a few lines of aliases (``*a``) can stand for
    billions of values. The result does not depend on the release of PyYAML and its C loader, except for the few texts
    that only one loader accepts.

    Raises:
        Heavy: if it is nested too deeply, or its aliases stand for more than ``most`` values, or for themselves.
        yaml.YAMLError: if it is not YAML.
    """
    if letter := _UNPRINTABLE.search(text):
        raise ReaderError("<text>", letter.start(), ord(letter[0]), "unicode", "special characters are not allowed")
    try:
        _count(text, most, _LOADER)
    except yaml.YAMLError as error:
        # A C loader reads ahead, and may have stopped at its own limit. The loader in Python has no limit and finds the
        # real fault, but takes 4 s for a MiB, too long for files without a fault.
        _count(text, most, yaml.SafeLoader)
        if isinstance(error, Heavy):
            raise


def _count(text: str, most: int, loader: Any) -> None:
    """Walk through YAML, for ``weigh``."""
    known: dict[str, int] = {}  # anchor -> number of its values, itself included
    around: list[tuple[str | None, int]] = [(None, 0)]  # the open collections: anchor, values so far
    repeated = 0
    for event in yaml.parse(text, Loader=loader):
        anchor, size = None, 0
        if isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, 1))
            if len(around) > DEEPEST:
                raise Heavy("nested too deeply", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = around.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            size = known.get(event.anchor or "", most + 1)  # an open one contains itself
            repeated += size
            if repeated > most:
                raise Heavy("aliases that stand for too much" if most else "aliases", event)
        if anchor is not None:
            known[anchor] = size
        around[-1] = (around[-1][0], around[-1][1] + size)


def lines(folder: Path, name: str, most: int) -> Iterator[bytes]:
    """The lines of a file of at most ``most`` bytes; for a larger one whole lines from its last ``most`` bytes."""
    with open_regular(folder, name) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            file.seek(size - most)
            file.readline(LONGEST_LINE)  # the rest of a line
        while line := file.readline(LONGEST_LINE):
            yield line


def flatten(tree: Mapping[str, Any], prefix: str = "", depth: int = DEEPEST, dot: str = ".") -> dict[str, Any]:
    """The leaves of a tree by their dotted keys: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``. Lists are leaves."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value and depth:
            leaves |= flatten(value, f"{prefix}{_key(key)}{dot}", depth - 1, dot)
        else:
            leaves[f"{prefix}{_key(key)}"] = value
    return leaves


def at(tree: Any, key: str, otherwise: Any = None) -> Any:
    """The value in a tree at a dotted key; ``otherwise`` if there is no such key."""
    for part in key.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return otherwise
        tree = tree[part]
    return tree


def number(value: Any) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (isinstance(value, int) and _huge(value)):
        return None
    return float(value) if math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """A count: a whole number from 0 to 2^63 - 1, else None."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def quote(value: Any, limit: int = 80, depth: int = 3) -> str:
    """A value on one line in YAML, shortened if it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and _huge(value):
        return "(a huge number)"
    if isinstance(value, (list, dict)):
        if not depth:
            return "..."
        words = value[:20] if isinstance(value, list) else list(value.items())[:20]
        texts = [
            f"{printable(word[0], limit)}: {quote(word[1], limit, depth - 1)}"
            if isinstance(value, dict)
            else quote(word, limit, depth - 1)
            for word in words
        ]
        texts += ["..."] if len(value) > len(words) else []
        inside = ", ".join(texts)
        return cut(f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]", limit)
    return printable(value, limit)


def printable(value: Any, limit: int = 300) -> str:
    """Text on one line, safe for a terminal: without control characters, escapes, marks of direction."""
    try:
        text = _SEQUENCES.sub("", str(value)[: 20 * limit])
    except ValueError:  # a number of too many digits, in a set or a tuple
        return "(a huge number)"
    return cut("".join(letter for letter in " ".join(text.split()) if letter.isprintable()), limit)


def printable_lines(text: str) -> str:
    """Text of several lines, each safe for a terminal; leading spaces stay."""
    lines = (_SEQUENCES.sub("", line.replace("\t", " ")) for line in text.split("\n"))
    return "\n".join("".join(letter for letter in line if letter.isprintable()) for line in lines)


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with dots."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _int(text: str) -> int | float:
    return int(text) if len(text) < 40 else _float(text)  # the time of int() grows with the square of the digits


def _float(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else None


def _deep(value: Any) -> bool:
    """True if lists and mappings are nested in more than ``DEEPEST`` levels."""
    level = [value]
    for _ in range(DEEPEST + 1):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for items in inside for item in items if isinstance(item, (dict, list))]
        if not level:
            return False
    return True


def _key(key: Any) -> str:
    return key if isinstance(key, str) else quote(key)


def _huge(value: int) -> bool:
    return value.bit_length() > 128
