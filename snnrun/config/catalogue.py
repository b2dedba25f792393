"""What there is to choose from: the folders of ``conf/``, read as plain files.

Nothing is imported to describe a part: its line is the first of the docstring of the callable that its ``_target_``
names, found in the source; so ``snnrun list`` needs neither torch nor Hydra, and a broken part cannot break it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from snnrun.config import docstrings
from snnrun.config.settings import KINDS, Key, keys
from snnrun.system.safe_read import weigh

PACKAGE = Path(__file__).resolve().parents[1]

# The C loader is several times faster, but PyYAML may be built without it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def conf_folder() -> Path:
    """The absolute path of ``conf/``: inside the package when installed from a wheel, else beside it."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


class Parameter(NamedTuple):
    """What a part takes, and what it takes for it if nothing is said."""

    name: str
    default: str  # as YAML writes it; a reference is followed
    origin: str  # the key that the default refers to, such as convention.reset; or empty
    about: str  # one paragraph of the docstring, or the comment in the YAML file


class Detail(NamedTuple):
    """All that is known of one option without importing it."""

    target: str  # dotted name of its callable; empty for an option that is no part
    text: str  # its docstring, without the sections below; for an option that is no part the first comment of its file
    parameters: list[Parameter]
    source: str
    also: dict[str, str]  # what else a file for the package _global_ sets: dotted key, or group, -> value
    place: str = ""  # where its keys stand in the config, if not at its group


@dataclass(frozen=True)
class Catalogue:
    """The groups in ``conf/`` and, after it, in the folder that the user names with ``--config-dir``.

    ``primary`` is the config that a command starts from: ``conf/<primary>.yaml``.
    """

    extra: Path | None = None
    primary: str = "config"

    @cached_property
    def groups(self) -> dict[str, dict[str, Path]]:
        """Group -> option -> file, both in alphabetical order; of two files with one name the first counts."""
        found: dict[str, dict[str, Path]] = {}
        for folder in self.folders:
            for group, option, path in _options(folder):
                found.setdefault(group, {}).setdefault(option, path)
        return {group: dict(sorted(options.items())) for group, options in sorted(found.items())}

    @cached_property
    def folders(self) -> list[Path]:
        """Where files are looked for, in order."""
        return [conf_folder()] + ([self.extra] if self.extra else [])

    @cached_property
    def defaults(self) -> dict[str, str | None]:
        """Group -> the option that the primary config chooses, in its order."""
        entries = _load(conf_folder() / f"{self.primary}.yaml")["defaults"]
        pairs = [next(iter(entry.items())) for entry in entries if isinstance(entry, dict)]
        return {group: option for group, option in pairs if not group.startswith(("override ", "optional "))}

    @cached_property
    def keys(self) -> list[Key]:
        """The top-level keys of the primary config, with defaults as YAML writes them."""
        return [key._replace(default=_yaml_text(key.default)) for key in keys(KINDS[self.primary])]

    def shadowed(self) -> list[Path]:
        """Files in the user's folder that never count, since ``conf/`` has one of the same name."""
        extra = _options(self.extra) if self.extra else iter(())
        return sorted(path for group, option, path in extra if self.groups[group][option] != path)

    def name(self, target: str, group: str) -> str:
        """The part as the command names it, ``encoder=none``; of a target that no file has, the class or function."""
        option = self.recognise(group, {"_target_": target})
        return f"{group}={option}" if option else target.rpartition(".")[2]

    def place(self, group: str) -> str:
        """Where the parts of a group stand in a config, by dotted key: ``task.augmentation`` of ``augmentation``."""
        places = {_place(path, group, option) for option, path in self.groups.get(group, {}).items()}
        return places.pop() if len(places) == 1 else group

    def several(self, group: str) -> bool:
        """Whether several parts of a group go beside each other, each by its name."""
        return any(header(path).count(".") for path in self.groups.get(group, {}).values())

    def chosen_by(self, group: str, option: str) -> dict[str, str]:
        """What an option chooses of other groups: ``{"loss": "mean_square"}`` of the task ``zeros``."""
        path = self.groups.get(group, {}).get(option)
        text = path.read_text(encoding="utf-8") if path else ""
        return dict(re.findall(r"^  - override /(\w+): (\S+)", text, re.M))

    def content(self, path: Path) -> Any:
        """What a file says, with what it takes in; ``defaults`` is the list of the file itself.

        Raises:
            yaml.YAMLError, UnicodeDecodeError, OSError: for a file that cannot be read.
        """
        content: Any = {}
        for _, piece in self._pieces(path):
            content = _merged(content, piece)
        return content

    def _pieces(self, path: Path, seen: set[Path] | None = None) -> Iterator[tuple[Path, Any]]:
        """The files that an option is made of, each with its content, in the order in which Hydra merges them.

        ``defaults: [/_resetting@_here_]`` takes in ``conf/_resetting.yaml``, and ``[lif]`` the file beside this one.
        Without ``_self_`` in the list the file itself comes last: its own keys win. No file is taken in twice.
        """
        seen = {path} if seen is None else seen
        own = _load(path)
        entries = own.get("defaults") if isinstance(own, dict) else None
        names = [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else []
        for name in names if "_self_" in names else [*names, "_self_"]:
            where, _, package = name.partition("@")
            if name == "_self_":
                yield path, own
            elif (piece := self._beside(path, where)) and piece not in seen:
                seen.add(piece)
                for inner, content in self._pieces(piece, seen):
                    if not isinstance(content, dict):
                        continue
                    content = {key: value for key, value in content.items() if key != "defaults"}
                    yield inner, {package: content} if package and package != "_here_" else content

    def _beside(self, path: Path, name: str) -> Path | None:
        """The file that a list of defaults in ``path`` calls ``name``, or ``/name`` from the top."""
        group = next(path.relative_to(folder).parent for folder in self.folders if path.is_relative_to(folder))
        inner = Path(name.lstrip("/")) if name.startswith("/") else group / name
        found = (folder / inner.with_name(f"{inner.name}.yaml") for folder in self.folders)
        return next((each for each in found if each.is_file()), None)

    def options_of(self, group: str, target: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The options whose part has this ``_target_``, with that part as its file has it; the default first.

        A file that cannot be read is none of them.
        """
        options, first = self.groups.get(group, {}), self.defaults.get(group)
        for option in sorted(options, key=lambda option: (option != first, option)):
            try:
                config = self.content(options[option])
            except (yaml.YAMLError, UnicodeDecodeError, OSError):
                continue
            own = config.get(group, config) if isinstance(config, dict) else {}
            if isinstance(own, dict) and own.get("_target_") == target:
                yield option, own

    def recognise(self, group: str, part: Mapping[str, Any]) -> str | None:
        """The option of which ``part`` is a config with other values: that of its ``_target_``, else None.

        Of several it is the one with most of the values; where none has more, the default.
        """
        best, most = None, -1
        for option, own in self.options_of(group, part.get("_target_")):
            count = sum(key in own and own[key] == value for key, value in part.items())
            if count > most:
                best, most = option, count
        return best

    def describe(self, group: str, option: str) -> str:
        """One line about an option: of its callable's docstring, else the first comment in its file."""
        path = self.groups[group][option]
        try:
            config = self.content(path)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return f"(cannot be read: {_where(error, path)})"
        target = _target(config, group)
        return (docstrings.first_line(target, self._roots(target)) if target else "") or _comment(path)

    def detail(self, group: str, option: str) -> Detail:
        """What ``snnrun list GROUP NAME`` shows: docstring, parameters with defaults, source.

        Parameters are those of the callable's signature, in its order, with what it passes on to its base classes as
        ``**options``; but not what the run hands over. Defaults are those of the YAML file, else of the signature.
        """
        path = self.groups[group][option]
        try:
            config = self.content(path)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return Detail("", f"(cannot be read: {_where(error, path)})", [], "", {})
        config = config if isinstance(config, dict) else {}
        target, own = _target(config, group) or "", config
        if target and "_target_" not in config:
            own = config[group]
        found = docstrings.read(target, self._roots(target))
        comments: dict[str, str] = {}
        order: dict[str, None] = {}  # the file's own keys before those that it takes in
        for piece, content in self._pieces(path):
            comments |= _comments(piece)
            order = dict.fromkeys(content or ()) | order
        head = path.read_text(encoding="utf-8")
        everywhere = not target and head.startswith("# @package _global_\n")  # no part: it sets those of all groups
        names = [key for key in {**order, **own} if key in own and not key.startswith("_") and key != "defaults"]
        keys = {} if everywhere else {name: own[name] for name in names}
        parameters = []
        for name in [*found.signature, *(key for key in keys if key not in found.signature)]:
            if name in HANDED.get(group, ()) and name not in keys:
                continue
            value, origin = (
                self._follow(keys[name], config if own is not config else {})
                if name in keys
                else (found.signature[name], "")
            )
            about = found.arguments.get(name) or comments.get(name, "")
            inner = keys.get(name)
            if isinstance(inner, dict) and "_target_" in inner:  # a part in a part: its class, then its own keys
                value = inner["_target_"].rpartition(".")[2]
            parameters.append(Parameter(name, value, origin, about))
            if isinstance(inner, dict) and "_target_" in inner:
                own_keys = [key for key in inner if not key.startswith("_")]
                parameters += [Parameter(f"{name}.{key}", _yaml_text(inner[key]), "", "") for key in own_keys]
        also = (_also(config, group) if own is not config or everywhere else {}) | _for_models(path)
        place = re.match(r"# @package (\w+(?:\.\w+)+)\n", head)
        said = re.search(r"^# Source: (.+)$", head, re.M)
        source = found.source or (said[1] if said else "")
        return Detail(target, found.text or _comment(path), parameters, source, also, place[1] if place else "")

    def _roots(self, target: str) -> list[Path]:
        """Where the source of a callable may lie: ours, or the user's."""
        return [PACKAGE.parent] if target.startswith("snnrun.") else self.folders[1:]

    def _follow(self, value: Any, config: dict[str, Any]) -> tuple[str, str]:
        """A default as YAML writes it; of a reference to a group or key what that is by default, and its name."""
        match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if match is None:
            return _yaml_text(value), ""
        if match[1] in config:  # a file for the package _global_ sets it
            return _yaml_text(config[match[1]]), match[1]
        group, _, key = match[1].partition(".")
        chosen = self.defaults.get(group)
        if chosen is None:
            return next((known.default for known in self.keys if known.name == match[1]), str(value)), match[1]
        return (_yaml_text(self.content(self.groups[group][chosen]).get(key)) if key else chosen), match[1]


#: What a run hands to a part, so that no file sets it.
HANDED = {
    "neuron": ("shape",),
    "readout": ("shape",),
    "model": ("input_shape", "num_outputs", "neuron", "readout", "backend"),
    "optimizer": ("params",),
    "scheduler": ("optimizer",),
}


def name_of(part: object, group: str) -> str:
    """A part of snnrun's, or its class, as the command names it, such as ``neuron=lif``; else the name of the class.

    A file names the class by where it is made public, so the class is known by the last word of that.
    """
    kind = part if isinstance(part, type) else type(part)
    return Catalogue().name(f"snnrun.{group}.{kind.__qualname__}", group) if _ours(kind) else kind.__qualname__


def _ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "snnrun"


def _options(folder: Path) -> Iterator[tuple[str, str, Path]]:
    # `hydra/` in a user's folder configures Hydra itself; it is no group of ours.
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        if group.name != "hydra":
            for path in sorted(group.rglob("*.yaml")):
                # A folder beside a file of its name holds pieces of that option, as task/zeros/mlp.yaml.
                option = path.relative_to(group).with_suffix("")
                if any(piece.startswith("_") for piece in option.parts):
                    continue  # what other files take in
                if not any((group / f"{parent}.yaml").is_file() for parent in option.parents if parent.name):
                    yield group.name, option.as_posix(), path


def header(path: Path) -> str:
    """The ``# @package`` that a file begins with; empty where it has none."""
    with path.open(encoding="utf-8", errors="replace") as file:
        match = re.match(r"# @package (\S+)$", file.readline(200))
    return match[1] if match else ""


def _place(path: Path, group: str, option: str) -> str:
    """Where the content of a file belongs, without the name of the option where that is the end of it."""
    package = header(path)
    return package.removesuffix(f".{option}") if "." in package else group


def _load(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    weigh(text)
    return yaml.load(text, Loader=_LOADER)


def _merged(below: Any, above: Any) -> Any:
    """``above`` laid over ``below``, as Hydra merges two files."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _merged(below.get(key), value) for key, value in above.items()}


def _where(error: Exception, path: Path) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{path}, line {mark.line + 1}" if mark else str(path)


def _target(config: Any, group: str) -> str | None:
    """The ``_target_`` of a part; a file for the package ``_global_`` holds it under the name of its group."""
    for part in (config, config.get(group) if isinstance(config, dict) else None):
        if isinstance(part, dict) and isinstance(part.get("_target_"), str):
            return str(part["_target_"])
    return None


def _comment(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not re.match(r"#\s*@", line):
            return line.lstrip("# ").strip()
        if line and not line.startswith("#"):
            break
    return ""


def _also(config: dict[str, Any], group: str) -> dict[str, str]:
    """What a file for the package _global_ sets beside its own part."""
    chosen = [entry for entry in config.get("defaults", []) if isinstance(entry, dict)]
    groups = {key.removeprefix("override ").lstrip("/"): str(name) for entry in chosen for key, name in entry.items()}
    return groups | _dotted({key: value for key, value in config.items() if key not in ("defaults", group)})


def _for_models(path: Path) -> dict[str, str]:
    """What the folder beside a file sets: ``task/zeros/mlp.yaml`` is for the model ``mlp``."""
    found = {}
    for piece in sorted(path.with_suffix("").glob("*.yaml")):
        for key, value in _dotted(_load(piece)).items():
            found[key] = f"{value}  (with {key.partition('.')[0]}={piece.stem})"
    return found


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _dotted(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = _yaml_text(value)
    return found


def _comments(path: Path) -> dict[str, str]:
    """The comment behind each key of a YAML file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"\s*(\w+):.*?\s#\s+(.*)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


def _yaml_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_yaml_text(item) for item in value)}]"
    return str(value)
