"""The catalogue of parts: the folders of ``conf/``, read as plain files.

The description of a part is the first line of the docstring of its ``_target_``, read from the source. Nothing is
imported, so ``snnrun list`` needs neither torch nor Hydra, and a broken part cannot break it.
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
from snnrun.config.settings import KINDS, SettingRow, keys
from snnrun.system.safe_read import flatten, weigh

PACKAGE = Path(__file__).resolve().parents[1]

# The C loader is several times faster, but some builds of PyYAML lack it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def conf_folder() -> Path:
    """The absolute path of ``conf/``: inside the package when installed from a wheel, else beside it."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


class Parameter(NamedTuple):
    """A parameter of a part, with its default."""

    name: str
    default: str  # in YAML; references are resolved
    origin: str  # the key that the default refers to, such as convention.reset; or empty
    about: str  # one paragraph of the docstring, or the comment in the YAML file


class Detail(NamedTuple):
    """The description of an option, without importing it."""

    target: str  # dotted name of its callable; empty for an option that is not a part
    text: str  # its docstring without sections; for an option that is not a part the first comment of its file
    parameters: list[Parameter]
    source: str
    also: dict[str, str]  # other settings of a file for the package _global_: dotted key or group -> value
    place: str = ""  # the key of its config, if that is not its group


@dataclass(frozen=True)
class Catalogue:
    """The groups in ``conf/`` and in the user's folder of ``--config-dir``.

    ``primary``: the config that a command starts from, ``conf/<primary>.yaml``.
    """

    extra: Path | None = None
    primary: str = "config"

    @cached_property
    def groups(self) -> dict[str, dict[str, Path]]:
        """Group -> option -> file, both in alphabetical order; of two files with the same name the first counts."""
        groups: dict[str, dict[str, Path]] = {}
        for folder in self.folders:
            for group, option, path in _options(folder):
                groups.setdefault(group, {}).setdefault(option, path)
        return {group: dict(sorted(options.items())) for group, options in sorted(groups.items())}

    @cached_property
    def folders(self) -> list[Path]:
        """The folders of the files, in order of precedence."""
        return [conf_folder()] + ([self.extra] if self.extra else [])

    @cached_property
    def defaults(self) -> dict[str, str | None]:
        """Group -> the option that the primary config chooses, in its order."""
        entries = _load(conf_folder() / f"{self.primary}.yaml")["defaults"]
        pairs = [next(iter(entry.items())) for entry in entries if isinstance(entry, dict)]
        return {group: option for group, option in pairs if not group.startswith(("override ", "optional "))}

    @cached_property
    def keys(self) -> list[SettingRow]:
        """The top-level keys of the primary config, with defaults in YAML."""
        return [key._replace(default=_yaml_text(key.default)) for key in keys(KINDS[self.primary])]

    def hidden_files(self) -> list[Path]:
        """Files in the user's folder that have no effect, since ``conf/`` has one of the same name."""
        extra = _options(self.extra) if self.extra else iter(())
        return sorted(path for group, option, path in extra if self.groups[group][option] != path)

    def name(self, target: str, group: str) -> str:
        """The part in the form of a command, ``encoder=none``; the class or function for a target without a file."""
        option = self.recognise(group, {"_target_": target})
        return f"{group}={option}" if option else target.rpartition(".")[2]

    def place(self, group: str) -> str:
        """The dotted key of a group's parts in a config: ``task.augmentation`` for ``augmentation``."""
        places = {_place(path, group, option) for option, path in self.groups.get(group, {}).items()}
        return places.pop() if len(places) == 1 else group

    def several(self, group: str) -> bool:
        """True if a config may have several parts of the group, each by its name."""
        return any(header(path).endswith(f".{option}") for option, path in self.groups.get(group, {}).items())

    def choices_of(self, group: str, option: str) -> dict[str, str]:
        """The choices of an option in other groups: ``{"loss": "mean_square"}`` for the task ``zeros``."""
        path = self.groups.get(group, {}).get(option)
        text = path.read_text(encoding="utf-8") if path else ""
        return dict(re.findall(r"^  - override /(\w+): (\S+)", text, re.M))

    def content(self, path: Path) -> Any:
        """The content of a file with the files that it includes; ``defaults`` is the list of the file itself.

        Raises:
            yaml.YAMLError, UnicodeDecodeError, OSError: for a file that cannot be read.
        """
        content: Any = {}
        for _, piece in self._pieces(path):
            content = _merge(content, piece)
        return content

    def _pieces(self, path: Path, seen: set[Path] | None = None) -> Iterator[tuple[Path, Any]]:
        """The files of an option, each with its content, in the order in which Hydra merges them.

        ``defaults: [/_resetting@_here_]`` includes ``conf/_resetting.yaml``, and ``[lif]`` the file beside this one.
        Without ``_self_`` in the list the file itself comes last: its own keys win. No file is included twice.
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
        """The file of the entry ``name``, or ``/name`` from the top, in the defaults list of ``path``."""
        group = next(path.relative_to(folder).parent for folder in self.folders if path.is_relative_to(folder))
        inner = Path(name.lstrip("/")) if name.startswith("/") else group / name
        paths = (folder / inner.with_name(f"{inner.name}.yaml") for folder in self.folders)
        return next((each for each in paths if each.is_file()), None)

    def options_of(self, group: str, target: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The options with this ``_target_``, each with the part in its file; the default first.

        Unreadable files are skipped.
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
        """The option with the ``_target_`` of ``part``, or None.

        Of several options it is the one with most of the values, or the default if they have equally many.
        """
        best, most = None, -1
        for option, own in self.options_of(group, part.get("_target_")):
            count = sum(key in own and own[key] == value for key, value in part.items())
            if count > most:
                best, most = option, count
        return best

    def describe(self, group: str, option: str) -> str:
        """One line about an option: from its callable's docstring, else the first comment in its file."""
        path = self.groups[group][option]
        try:
            config = self.content(path)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return f"(cannot be read: {_where(error, path)})"
        target = _target(config, group)
        return (docstrings.first_line(target, self._roots(target)) if target else "") or _comment(path)

    def detail(self, group: str, option: str) -> Detail:
        """The content of ``snnrun list GROUP NAME``: docstring, parameters with defaults, source.

        Parameters are in the order of the callable's signature, with the ``**options`` that it passes to its base
        classes, without the arguments from the run. Defaults come from the YAML file, else from the signature.
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
        docs = docstrings.read(target, self._roots(target))
        comments: dict[str, str] = {}
        order: dict[str, None] = {}  # the file's own keys before the keys of included files
        for piece, content in self._pieces(path):
            comments |= _comments(piece)
            order = dict.fromkeys(content or ()) | order
        head = path.read_text(encoding="utf-8")
        everywhere = not target and head.startswith("# @package _global_\n")  # not a part: it sets values of all groups
        names = [key for key in {**order, **own} if key in own and not key.startswith("_") and key != "defaults"]
        keys = {} if everywhere else {name: own[name] for name in names}
        parameters = []
        for name in [*docs.signature, *(key for key in keys if key not in docs.signature)]:
            if name in RUN_ARGUMENTS.get(group, ()) and name not in keys:
                continue
            value, origin = (
                self._follow(keys[name], config if own is not config else {})
                if name in keys
                else (docs.signature[name], "")
            )
            about = docs.arguments.get(name) or comments.get(name, "")
            inner = keys.get(name)
            if isinstance(inner, dict) and inner and "_target_" not in inner:  # values by name, such as groups
                parameters += [Parameter(f"{name}.{key}", text, "", "") for key, text in _texts(inner).items()]
                continue
            if isinstance(inner, dict) and "_target_" in inner:  # a part within a part: its class, then its own keys
                value = inner["_target_"].rpartition(".")[2]
            parameters.append(Parameter(name, value, origin, about))
            if isinstance(inner, dict) and "_target_" in inner:
                own_keys = [key for key in inner if not key.startswith("_")]
                parameters += [Parameter(f"{name}.{key}", _yaml_text(inner[key]), "", "") for key in own_keys]
        also = (_also(config, group) if own is not config or everywhere else {}) | _for_models(path)
        place = re.match(r"# @package (\w+(?:\.\w+)+)\n", head)
        source_line = re.search(r"^# Source: (.+)$", head, re.M)
        source = docs.source or (source_line[1] if source_line else "")
        return Detail(target, docs.text or _comment(path), parameters, source, also, place[1] if place else "")

    def _roots(self, target: str) -> list[Path]:
        """The folders for the source of a callable: ours, or the user's."""
        return [PACKAGE.parent] if target.startswith("snnrun.") else self.folders[1:]

    def _follow(self, value: Any, config: dict[str, Any]) -> tuple[str, str]:
        """A default in YAML; for a reference to a group or key its default and its name."""
        match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if match is None:
            return _yaml_text(value), ""
        if match[1] in config:  # a file for the package _global_ sets it
            return _yaml_text(config[match[1]]), match[1]
        group, _, key = match[1].partition(".")
        option = self.defaults.get(group)
        if option is None:
            return next((known.default for known in self.keys if known.name == match[1]), str(value)), match[1]
        return (_yaml_text(self.content(self.groups[group][option]).get(key)) if key else option), match[1]


#: Arguments that the run passes to a part, so that no file sets them.
RUN_ARGUMENTS = {
    "neuron": ("shape",),
    "readout": ("shape",),
    "model": ("input_shape", "num_outputs", "neuron", "readout", "backend"),
    "optimizer": ("params",),
    "scheduler": ("optimizer",),
}


def name_of(part: object, group: str) -> str:
    """A part of snnrun or its class in the form of a command, such as ``neuron=lif``; else the name of the class.

    A file has the public name of the class, so only the last word of it is compared.
    """
    kind = part if isinstance(part, type) else type(part)
    return Catalogue().name(f"snnrun.{group}.{kind.__qualname__}", group) if _ours(kind) else kind.__qualname__


def _ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "snnrun"


def _options(folder: Path) -> Iterator[tuple[str, str, Path]]:
    # `hydra/` in a user's folder configures Hydra itself; it is not a group.
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        if group.name != "hydra":
            for path in sorted(group.rglob("*.yaml")):
                # A folder beside a file with its name holds pieces of that option, such as task/zeros/mlp.yaml.
                option = path.relative_to(group).with_suffix("")
                if any(piece.startswith("_") for piece in option.parts):
                    continue  # other files include it
                if not any((group / f"{parent}.yaml").is_file() for parent in option.parents if parent.name):
                    yield group.name, option.as_posix(), path


def header(path: Path) -> str:
    """The ``# @package`` at the beginning of a file; empty without one."""
    with path.open(encoding="utf-8", errors="replace") as file:
        match = re.match(r"# @package (\S+)$", file.readline(200))
    return match[1] if match else ""


def _place(path: Path, group: str, option: str) -> str:
    """The key of a file's content, without the name of the option at its end."""
    package = header(path)
    return package.removesuffix(f".{option}") if "." in package else group


def _load(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    weigh(text)
    return yaml.load(text, Loader=_LOADER)


def _merge(below: Any, above: Any) -> Any:
    """Merge ``above`` over ``below``, like Hydra."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _merge(below.get(key), value) for key, value in above.items()}


def _where(error: Exception, path: Path) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{path}, line {mark.line + 1}" if mark else str(path)


def _target(config: Any, group: str) -> str | None:
    """The ``_target_`` of a part; a file for the package ``_global_`` has it under the name of its group."""
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
    """Settings of a file for the package _global_ outside its own part."""
    entries = [entry for entry in config.get("defaults", []) if isinstance(entry, dict)]
    groups = {key.removeprefix("override ").lstrip("/"): str(name) for entry in entries for key, name in entry.items()}
    return groups | _texts({key: value for key, value in config.items() if key not in ("defaults", group)})


def _for_models(path: Path) -> dict[str, str]:
    """Settings in the folder beside a file: ``task/zeros/mlp.yaml`` is for the model ``mlp``."""
    texts = {}
    for piece in sorted(path.with_suffix("").glob("*.yaml")):
        for key, value in _texts(_load(piece)).items():
            texts[key] = f"{value}  (with {key.partition('.')[0]}={piece.stem})"
    return texts


def _texts(tree: Mapping[str, Any]) -> dict[str, str]:
    return {key: _yaml_text(value) for key, value in flatten(tree).items() if value != {}}


def _comments(path: Path) -> dict[str, str]:
    """The comment behind each key of a YAML file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    matches = [re.fullmatch(r"\s*(\w+):.*?\s#\s+(.*)", line) for line in lines]
    return {match[1]: match[2] for match in matches if match}


def _yaml_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_yaml_text(item) for item in value)}]"
    return str(value)
