"""Builds a part from its resolved config: calls the ``_target_`` with the other keys as arguments.

The keys are the same as for Hydra's ``instantiate`` (``_target_``, ``_partial_``), but Hydra is not needed: a recorded
config is enough, a partial is a ``functools.partial``, and a fault names its key. ``snnrun.config.trust`` decides what
a config may name.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any, ClassVar

from snnrun.config import trust
from snnrun.errors import ArgumentError, Fault


class PartError(ValueError):
    """A part cannot be built, or rejects an argument.

    Attributes:
        path: the dotted key of the wrong part or argument.
        fault: the key with the fault.
        cause: the error of the part, if it names no argument. Default: None.
    """

    def __init__(self, path: str, what: str | ArgumentError, cause: Exception | None = None) -> None:
        self.fault = Fault.of(what, path) if isinstance(what, ArgumentError) else Fault(path, what)
        super().__init__(self.fault.message)
        self.path, self.cause = path, cause

    @classmethod
    def of(cls, path: str, error: Exception, arguments: Collection[str]) -> PartError:
        """The error that the part at ``path`` raised for these arguments."""
        if isinstance(error, PartError):
            return error
        if isinstance(error, ArgumentError) and error.argument.partition(".")[0] in arguments:
            return cls(f"{path}.{error.name}", error)
        return cls(path, str(error), error)


class TakesFunctions:
    """Base of a part that takes functions; a config has their dotted names, ``my_module.my_function``.

    Attributes:
        by_name: the arguments that are functions. ``build`` looks up the names.
    """

    by_name: ClassVar[tuple[str, ...]]


def build(config: Any, path: str, trusted: Collection[str] = ()) -> Any:
    """Build the part with this plain and resolved config at the dotted key ``path``; inner parts first.

    Args:
        trusted: packages outside snnrun and torch that the config may name.

    Raises:
        PartError: if ``_target_`` is missing, not trusted or not callable, or rejects its arguments with a ValueError
            or TypeError. Other errors are passed on.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("_target_"), str):
        raise PartError(path, ArgumentError(path, "a part, that is a mapping with _target_", config))
    target = locate(config["_target_"], f"{path}._target_", trusted)
    arguments = {str(key): _value(value, f"{path}.{key}", trusted) for key, value in config.items() if key not in _OWN}
    if isinstance(target, type) and issubclass(target, TakesFunctions):
        for key in target.by_name:
            if isinstance(arguments.get(key), str):
                arguments[key] = locate(arguments[key], f"{path}.{key}", trusted, function=True)
    partial = config.get("_partial_", False)
    if not isinstance(partial, bool):
        raise PartError(f"{path}._partial_", ArgumentError("_partial_", "true or false", partial))
    check_arguments(target, arguments, path, partial=partial)
    if partial:
        return functools.partial(target, **arguments)
    try:
        return target(**arguments)
    except (ValueError, TypeError) as error:
        raise PartError.of(path, error, arguments) from error


def locate(name: str, path: str, trusted: Collection[str] = (), *, function: bool = False) -> Callable[..., Any]:
    """The callable with the dotted name ``name`` at the dotted key ``path``.

    ``function``: allow a function of snnrun or torch; parts must be classes.

    Raises:
        PartError: if the name is not trusted (before any import), or there is no such callable.
    """
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise PartError(path, ArgumentError(path, "a dotted name such as package.module.Class", name))
    if refusal := trust.refusal(name, trusted):
        raise PartError(path, refusal)
    # The longest prefix that is a module, then attributes.
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            item: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                continue
            raise PartError(path, f"importing {module} failed: {error}; mend or install it") from error
        except Exception as error:
            raise PartError(path, f"importing {module} failed: {type(error).__name__}: {error}; mend it") from error
        for attribute in parts[end:]:
            # Neither imported modules nor names with _, which lead out of the module: function.__globals__.
            item = None if attribute.startswith("_") else getattr(item, attribute, None)
            if item is None or isinstance(item, ModuleType):
                raise PartError(path, f"{module} has no {'.'.join(parts[end:])}; check the name")
        if refusal := trust.stranger(item, name, trusted, function=function):
            raise PartError(path, refusal)
        return item
    raise PartError(path, f"there is no module {parts[0]!r} for {name}; is it installed?")


def check_arguments(target: Callable[..., Any], arguments: Mapping[str, Any], path: str, *, partial: bool) -> None:
    """Compare arguments with the signature, and name a missing or unknown key.

    A partial gets more arguments later, so it may lack some.
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # some callables written in C have none
        return
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for key in arguments:
            if key not in names:
                raise PartError(f"{path}.{key}", f"there is no such key; there are {', '.join(names) or 'none'}")
    if partial:
        return
    for p in parameters:
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in arguments:
            raise PartError(f"{path}.{p.name}", "expected a value, but the key is missing")


_OWN = ("_target_", "_partial_")


def _value(value: Any, path: str, trusted: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return build(value, path, trusted)
        return {key: _value(item, f"{path}.{key}", trusted) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item, f"{path}[{i}]", trusted) for i, item in enumerate(value)]
    return value
