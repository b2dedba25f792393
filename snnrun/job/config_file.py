"""``snnrun --config FILE``: converts the ``config.yaml`` of a run, edited or not, into overrides.

The file may come from a stranger. It is read as text, and its values are checked like the words of the command line.
Hydra composes the overrides, also in a sweep, and the record of the run does not need the file.

The option of a part is found by its ``_target_``. References (``${surrogate}``) stay references if the file has the
same value at both ends. Only differences from the composed config become words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra.core.override_parser.types import Quote, QuotedString

from snnrun.config import fingerprint
from snnrun.config.catalogue import Catalogue
from snnrun.errors import ConfigError
from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable, at, printable, quote

KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
REFERENCE = re.compile(r"\$\{([\w.]+)\}", re.ASCII)
NUMBER = re.compile(r"[-+]?(\d[\d_]*)?\.?\d+[eE][-+]?\d+", re.ASCII)  # 1e-3 is a text in YAML 1.1
NO_KEYS = {
    "hydra": "expected the config of a run, and hydra is no key of one; leave it out",
    "defaults": "expected the config of a run, which names no files; leave it out",
    "experiment": "expected parts and values; a set-up is chosen on the command line, without --config",
}
SETUP = "experiment"
MOST_VALUES = 1000  # each may become an override, which costs Hydra milliseconds
_MISSING: Any = object()
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ConfigSource(NamedTuple):
    """The record of the file.

    Attributes:
        name: without its folder, which is in ``command``.
        sha256: of its bytes, in hexadecimal.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Choice:
    """A group in the command line, with every option chosen for it; null for none."""

    group: str
    words: tuple[str, ...]


class ConfigFile:
    """A file to be turned into overrides.

    Args:
        path: of the file, or of a link to it.

    Raises:
        ConfigError: if it is not a YAML mapping of plain values.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = path.resolve()
        try:
            with safe_read.open_regular(whole.parent, whole.name) as file:
                data = file.read(safe_read.LARGEST_YAML + 1)
            if len(data) > safe_read.LARGEST_YAML:
                raise Unreadable(f"more than {safe_read.LARGEST_YAML >> 10} KiB")
            text = data.decode("utf-8-sig", errors="replace")
            self.tree = safe_read.yaml_text(text)
        except Unreadable as error:
            raise ConfigError(
                f"--config: expected the config.yaml of a run, or one like it, got {printable(path)}, which cannot be "
                f"read: {error}"
            ) from error
        self.source = ConfigSource(path.name, hashlib.sha256(data).hexdigest())
        # An unedited config: where it differs from its references, that is intended.
        self._is_original = fingerprint.recorded_hash(whole.parent) == fingerprint.config_hash(self.tree)
        self.faults = [
            f"{self.name}: {fault}" for fault in (*duplicate_keys(yaml.compose(text, _LOADER)), *_faults(self.tree))
        ]
        if (count := len(safe_read.flatten(self.tree))) > MOST_VALUES:
            self.faults = [
                f"{self.name}: expected at most {MOST_VALUES:,} values, as a run's config has, got {count:,}"
            ]
        self.notes: list[str] = []

    @property
    def name(self) -> str:
        """The name of the file, for messages."""
        return printable(self.path.name, 80)

    def groups(self, catalogue: Catalogue, chosen: Sequence[Choice]) -> list[str]:
        """The overrides that choose parts, without the groups of the command line."""
        own = {choice.group for choice in chosen}
        options = {}
        for group in catalogue.defaults:
            if group not in own and group != SETUP:
                options[group] = self._option(group, catalogue)
        tasks = next((choice.words for choice in chosen if choice.group == "task"), None)
        names = (
            [options.get("task") or catalogue.defaults["task"]] if tasks is None else [_value(word) for word in tasks]
        )
        # A task may choose other parts as well.
        implications = [catalogue.choices_of("task", str(name)) for name in names]
        return [
            f"{group}={option}"
            for group, option in options.items()
            if option is not None and any(option != each.get(group, catalogue.defaults[group]) for each in implications)
        ]

    def values(
        self, catalogue: Catalogue, chosen: Sequence[Choice], keys: Collection[str], bases: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """The overrides that set values.

        Args:
            chosen: the choices of the command line, which replace these parts of the file.
            keys: the keys that the command line sets.
            bases: the unresolved configs without these overrides, one for each choice of a sweep.
        """
        places = {catalogue.place(choice.group) for choice in chosen}
        other_places = {catalogue.place(group) for group in catalogue.defaults} - places
        words: list[str] = []
        for location, value, nodes in self._walk("", self.tree, list(bases)):
            path = location.lstrip("~")
            is_choice = value in (None, {}) or isinstance(value, (str, list))
            if is_choice and path in (*places, *other_places, *catalogue.defaults):
                continue  # a choice, or nothing
            inside = [place for place in (*places, *other_places) if path == place or path.startswith(f"{place}.")]
            if inside and max(inside, key=len) in places:
                continue
            if any(path == key or path.startswith(f"{key}.") for key in keys):
                continue
            if location != path:
                # Hydra treats a key with null as missing.
                words += [*([f"{path}=0"] if None in nodes else []), location]
            elif self._differs(path, value, nodes):
                sign = "++" if any(node is _MISSING for node in nodes) else ""
                words.append(f"{sign}{path}={_text(value)}")
        return words

    def _option(self, group: str, catalogue: Catalogue) -> str | None:
        """The option of the file in a group, in the form of an override; None if the file has none."""
        part, several = at(self.tree, catalogue.place(group), _MISSING), catalogue.several(group)
        if isinstance(self.tree.get(group), (str, list)):
            part = self.tree[group]
        if isinstance(part, str):
            return part
        if isinstance(part, list):
            return f"[{','.join(map(str, part))}]"
        if part is None and catalogue.defaults[group] is not None:
            return "null"
        if not isinstance(part, Mapping) or not part:
            return None
        if several:
            names = [name for name in part if name in catalogue.groups.get(group, {})]
            return f"[{','.join(names)}]" if names else None
        return catalogue.recognise(group, part)

    def _walk(self, path: str, value: Any, nodes: list[Any]) -> Iterator[tuple[str, Any, list[Any]]]:
        """Every value of the file with the values of the bases at its path; ``~`` marks a path to remove."""
        prefix = f"{path}." if path else ""
        mappings = [node for node in nodes if isinstance(node, Mapping)]
        references = [node for node in nodes if isinstance(node, str) and REFERENCE.fullmatch(node)]
        if references or not isinstance(value, Mapping) or (path and not value):
            yield path, value, nodes
            return
        target = value.get("_target_")
        if mappings and target is not None and all(target != node.get("_target_") for node in mappings):
            # Keys of the base's class do not belong to this class.
            for key in dict.fromkeys(key for node in mappings for key in node):
                if key not in value and key != "_partial_" and all(key in node for node in mappings):
                    yield f"~{prefix}{key}", _MISSING, [node[key] for node in mappings]
        for key, item in value.items():
            inside = [node.get(key, _MISSING) if isinstance(node, Mapping) else _MISSING for node in nodes]
            yield from self._walk(f"{prefix}{key}", item, inside)

    def _differs(self, path: str, value: Any, nodes: Sequence[Any]) -> bool:
        """True if a base has another value."""
        different = False
        for node in nodes:
            reference = REFERENCE.fullmatch(node) if isinstance(node, str) else None
            if reference is None or value == node:
                nothing = value == {} and isinstance(node, Mapping)
                different |= not nothing and not _same(value, node)
                continue
            origin = at(self.tree, reference[1], _MISSING)
            if origin is not _MISSING and not _same(value, origin):
                different = True
                if not self._is_original:
                    self.notes.append(
                        f"{self.name}: {path} and {reference[1]} differ, and {path} counts; leave {path} out of the "
                        f"file, and it follows {reference[1]}"
                    )
            elif origin is _MISSING:
                different = True
        return different


def duplicate_keys(node: yaml.Node | None, path: str = "") -> Iterator[str]:
    """The keys that occur more than once in a mapping; YAML silently takes the last.

    ``node``: of a text that is light enough to load.
    """
    pairs: list[tuple[str, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            where = f"{path}{printable(name, 80)}"
            if name in lines:
                yield f"{where}: set in line {lines[name]} and again in line {line}; keep one of them"
            lines.setdefault(name, line)
            pairs.append((f"{where}.", value))
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(f"{path.rstrip('.')}[{i}].", item) for i, item in enumerate(node.value)]
    for inside, value in pairs:
        yield from duplicate_keys(value, inside)


def _faults(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Faults for content that no config of a run has."""
    for key, value in tree.items():
        where = f"{path}{printable(key, 80)}"
        if not isinstance(key, str) or not KEY.fullmatch(key):
            yield f"{where}: expected a key in letters, digits and underscores"
        elif not path and key in NO_KEYS:
            yield f"{where}: {NO_KEYS[key]}"
        elif isinstance(value, Mapping):
            yield from _faults(value, f"{where}.")
        else:
            yield from _value_faults(where, value)


def _value_faults(where: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, Mapping):
                yield from _faults(item, f"{where}[{i}].")
            else:
                yield from _value_faults(f"{where}[{i}]", item)
    elif isinstance(value, str):
        if "${" in value and not REFERENCE.fullmatch(value):
            yield f"{where}: expected a value, or a reference to a key such as ${{epochs}}, got {quote(value)}"
    elif value is not None and not isinstance(value, (bool, int, float)):
        yield f"{where}: expected a plain value, got {quote(value)}; a text that looks like a date needs quotes"


def _same(one: Any, other: Any) -> bool:
    """True if two values are equal and of the same kind; 1 is not true, and ``1e-3`` is a number."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    one, other = (float(v.replace("_", "")) if isinstance(v, str) and NUMBER.fullmatch(v) else v for v in (one, other))
    return type(one) is type(other) and bool(one == other)


def _text(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        bare = NUMBER.fullmatch(value) or REFERENCE.fullmatch(value)
        return value if bare else QuotedString(value, Quote.single).with_quotes()
    return repr(value)


def _value(word: str) -> str:
    return word.partition("=")[2].strip("'\"")
