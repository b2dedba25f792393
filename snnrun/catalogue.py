"""What there is to choose from: the folders of ``conf/``, read as plain files.

Nothing is imported to describe a part: its line is the first of the docstring of the callable that its ``_target_``
names, found in the source; so ``snnrun list`` needs neither torch nor Hydra, and a broken part cannot break it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PACKAGE = Path(__file__).resolve().parent

# The C loader is several times faster, but PyYAML may be built without it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def conf_folder() -> Path:
    """The absolute path of ``conf/``: inside the package when installed from a wheel, else beside it."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


class Key(NamedTuple):
    """A top-level key of the primary config, as ``--help`` shows it."""

    name: str
    default: str
    comment: str


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
        return {group: option for group, option in pairs if not group.startswith("override ")}

    @cached_property
    def keys(self) -> list[Key]:
        """The top-level keys of the primary config with default and comment; nested ones by their dotted name."""
        keys, parent = [], ""
        for line in (conf_folder() / f"{self.primary}.yaml").read_text(encoding="utf-8").splitlines():
            match = re.fullmatch(r"( *)(\w+):(?: ([^#]*?))?(?: *# (.*))?", line)
            if not match or match[1] not in ("", "  "):
                continue
            if not match[1]:
                parent = match[2]
            if parent not in ("defaults", "hydra") and match[3]:
                name = f"{parent}.{match[2]}" if match[1] else match[2]
                keys.append(Key(name, match[3], match[4] or ""))
        return keys

    def shadowed(self) -> list[Path]:
        """Files in the user's folder that never count, since ``conf/`` has one of the same name."""
        extra = _options(self.extra) if self.extra else iter(())
        return sorted(path for group, option, path in extra if self.groups[group][option] != path)

    def describe(self, group: str, option: str) -> str:
        """One line about an option: of its callable's docstring, else the first comment in its file."""
        path = self.groups[group][option]
        try:
            config = _load(path)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return f"(cannot be read: {_where(error, path)})"
        target = _target(config, group)
        return (_docstring(target, self.folders[1:]) if target else "") or _comment(path)


def _options(folder: Path) -> Iterator[tuple[str, str, Path]]:
    # `hydra/` in a user's folder configures Hydra itself; it is no group of ours.
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        if group.name != "hydra":
            for path in sorted(group.rglob("*.yaml")):
                yield group.name, path.relative_to(group).with_suffix("").as_posix(), path


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)


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


def _docstring(target: str, folders: list[Path]) -> str:
    """First line of the docstring of ``package.module.Name``, if its source is ours or the user's."""
    roots = [PACKAGE.parent] if target.startswith("snnrun.") else folders
    for _ in range(8):  # a name may be imported from module to module; a circle ends here
        module, _, name = target.rpartition(".")
        tree = next((tree for root in roots if (tree := _parse(root, module)) is not None), None)
        if tree is None:
            return ""
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        moved = _imported_from(tree, module, name, package=_is_package(roots, module))
        if moved is None:
            return ""
        target = moved
    return ""


def _source(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((p for p in (base / "__init__.py", base.with_name(base.name + ".py")) if module and p.is_file()), None)


def _is_package(roots: list[Path], module: str) -> bool:
    return any((path := _source(root, module)) is not None and path.name == "__init__.py" for root in roots)


def _parse(root: Path, module: str) -> ast.Module | None:
    path = _source(root, module)
    try:
        return ast.parse(path.read_text(encoding="utf-8")) if path else None
    except (SyntaxError, UnicodeDecodeError):
        return None


def _imported_from(tree: ast.Module, module: str, name: str, *, package: bool) -> str | None:
    """Where a module gets ``name`` from: ``from .leaky import LIF`` in snnrun.neuron gives snnrun.neuron.leaky.LIF."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    parents = module.split(".") + ([""] if package else [])
                    prefix = parents[: len(parents) - node.level] if node.level else []
                    return ".".join([*prefix, *([node.module] if node.module else []), alias.name])
    return None
