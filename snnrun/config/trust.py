"""The code that a config may name: snnrun's parts, torch's modules and optimizers, and the user's trusted packages.

A config may come from a stranger, and a ``_target_`` is called with the keys beside it. So a name is checked twice: by
its spelling before the import, and afterwards by the module that defines the object, since a module also holds imported
names (``torch.nn.modules.module.warnings.sys``). A config cannot grant trust. Only the command line can
(``trust=[my_parts]``), the environment (``SNNRUN_TRUST``), or an installed package, by an entry point of the group
``snnrun.plugins``.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from snnrun.errors import ArgumentError

#: The packages of snnrun's parts; other modules write files and start programs.
_PARTS = (
    *("augmentation", "delay", "encoder", "loss", "model", "neuron", "scheduler", "surrogate", "task", "tracker"),
)
PARTS = tuple(f"snnrun.{name}" for name in _PARTS)
TORCH = ("torch.nn", "torch.optim")
#: Base classes; a class of torch must descend from one of them.
BASES = {"torch.nn.modules.module.Module", "torch.optim.optimizer.Optimizer", "torch.optim.lr_scheduler.LRScheduler"}
VARIABLE = "SNNRUN_TRUST"
GROUP = "snnrun.plugins"


def names(text: str, source: str) -> tuple[str, ...]:
    """The packages in ``[a,b.c]`` or ``a,b.c``. ``source``: the origin of the text, for the message.

    Raises:
        ValueError: for an invalid dotted name, and for a package that cannot hold parts.
    """
    bare = text.strip().removeprefix("[").removesuffix("]")
    packages = tuple(name.strip().strip("'\"") for name in bare.split(",") if name.strip())
    for name in packages:
        if not all(piece.isidentifier() for piece in name.split(".")):
            raise ArgumentError(source, "names of packages, such as trust=my_parts", name)
        if _first(name) in (*sys.stdlib_module_names, "snnrun", "torch"):
            raise ValueError(f"{source}: {_first(name)} is not a package of parts; name those that define yours")
    return packages


def of_environment() -> tuple[str, ...]:
    """The packages in ``SNNRUN_TRUST``.

    Raises:
        ValueError: see :func:`names`.
    """
    return names(os.environ.get(VARIABLE, ""), VARIABLE)


def refusal(target: str, trusted: Collection[str]) -> str | None:
    """The reason why the dotted name ``target`` may not be imported, or None."""
    if _within(target, (*PARTS, *TORCH, *trusted)) or _within(target, _plugins()):
        return None
    if _first(target) in ("snnrun", "torch"):
        return f"{target} is no part; expected a class of {', '.join(PARTS)}, {' or '.join(TORCH)}"
    if _first(target) in sys.stdlib_module_names:
        return f"{target} is no part; expected a class of snnrun, torch.nn, torch.optim or a package of your own"
    name = _first(target)
    return f"{target} is code outside snnrun; if you know {name} and want it to run, add trust={name} to the command"


def stranger(item: Any, target: str, trusted: Collection[str], *, function: bool) -> str | None:
    """The reason why the object with the name ``target`` may not be called, or None.

    ``function``: allow a function of snnrun or torch; a part must be a class.
    """
    if not (isinstance(item, type) or inspect.isroutine(item)):
        return f"expected a class or function, got {target}, a {type(item).__name__}"
    home = getattr(item, "__module__", None)
    home = home if isinstance(home, str) else "builtins"
    if _within(home, (*PARTS, *TORCH)):
        if not function and not isinstance(item, type):
            return f"expected a class, got {target}, a {type(item).__name__}"
        if isinstance(item, type) and _within(home, TORCH) and BASES.isdisjoint(map(_full_name, item.__mro__)):
            return f"{target} is no part; expected a module, an optimizer or a scheduler of torch"
        return None
    outside = refusal(f"{home}.{_last(target)}", trusted)
    return outside and f"{target} is defined in {home}: {outside}"


def targets(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every ``_target_`` in a resolved config, with the dotted key of its part."""
    items: list[tuple[str, Any]] = []
    if isinstance(tree, Mapping):
        if isinstance(tree.get("_target_"), str):
            yield path, tree["_target_"]
        items = [(f"{path}.{key}" if path else str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list):
        items = [(f"{path}[{i}]", value) for i, value in enumerate(tree)]
    for name, value in items:
        yield from targets(value, name)


def names_code(config: Any) -> bool:
    """True if a resolved config names code that needs trust."""
    return any(refusal(target, ()) for _, target in targets(config))


@contextmanager
def allow_imports(folder: Path | None, trusted: Collection[str]) -> Iterator[None]:
    """Within this context trusted modules, and no others, can also be imported from ``folder``, after all others.

    A folder on ``sys.path`` would allow more: any optional module that some package tries to import.
    """
    finder = _Finder(folder, {_first(name) for name in trusted}) if folder and trusted else None
    if finder:
        sys.meta_path.append(finder)
    try:
        yield
    finally:
        if finder:
            sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, folder: Path, allowed: Collection[str]) -> None:
        self.folder, self.allowed = str(folder), allowed

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self.folder]) if name in self.allowed else None


def _plugins() -> list[str]:
    from importlib.metadata import entry_points  # slow, and help and lists do not need it

    return [entry.module for entry in entry_points(group=GROUP)]


def _within(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _first(name: str) -> str:
    return name.partition(".")[0]


def _last(name: str) -> str:
    return name.rpartition(".")[2]
