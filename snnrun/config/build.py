"""From a part's resolved config to the part: calls the ``_target_`` with the other keys as arguments.

Same keys as Hydra's ``instantiate`` (``_target_``, ``_partial_``), yet without Hydra: a frozen config can be built
again from its file alone, a partial is a plain ``functools.partial``, and a fault names the key it is about. What a
config may name is decided in ``snnrun.config.trust``.
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
    """A part cannot be built, or refuses an argument.

    Attributes:
        path: the dotted key of the part or argument that is to blame.
        fault: the same with what is wrong.
        cause: what the part raised, where that names no argument of it. Default: nothing, since ``path`` is all.
    """

    def __init__(self, path: str, what: str | ArgumentError, cause: Exception | None = None) -> None:
        self.fault = Fault.of(what, path) if isinstance(what, ArgumentError) else Fault(path, what)
        super().__init__(self.fault.message)
        self.path, self.cause = path, cause

    @classmethod
    def of(cls, path: str, error: Exception, arguments: Collection[str]) -> PartError:
        """What the part at ``path``, called with these arguments, has raised."""
        if isinstance(error, PartError):
            return error
        if isinstance(error, ArgumentError) and error.argument in arguments:
            return cls(f"{path}.{error.name}", error)
        return cls(path, str(error), error)


class TakesFunctions:
    """Base of a part that takes functions, which a config gives by their dotted names, ``my_module.my_function``.

    Attributes:
        by_name: the arguments that are functions. ``build`` looks up those that are text.
    """

    by_name: ClassVar[tuple[str, ...]]


def build(config: Any, path: str, trusted: Collection[str] = ()) -> Any:
    """Build the part whose config, plain and resolved, stands at the dotted key ``path``; parts in it first.

    Args:
        trusted: packages outside snnrun and torch that the config may name.

    Raises:
        PartError: where ``_target_`` is missing, not trusted or no callable, or refuses the arguments given (a
            ValueError or TypeError of its own). Whatever else the callable raises is passed on.
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
    """The callable with the dotted name ``name``, which stands at the dotted key ``path``.

    ``function``: whether it may be a function of snnrun or torch, where parts are classes.

    Raises:
        PartError: before anything is imported where the name is not trusted; or if there is no such callable.
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
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                continue
            raise PartError(path, f"importing {module} failed: {error}; mend or install it") from error
        except Exception as error:
            raise PartError(path, f"importing {module} failed: {type(error).__name__}: {error}; mend it") from error
        for attribute in parts[end:]:
            # What a module imported is not its own, and what begins with _ leads out of it: function.__globals__.
            found = None if attribute.startswith("_") else getattr(found, attribute, None)
            if found is None or isinstance(found, ModuleType):
                raise PartError(path, f"{module} has no {'.'.join(parts[end:])}; check the name")
        if refusal := trust.stranger(found, name, trusted, function=function):
            raise PartError(path, refusal)
        return found
    raise PartError(path, f"there is no module {parts[0]!r} for {name}; is it installed?")


def check_arguments(target: Callable[..., Any], arguments: Mapping[str, Any], path: str, *, partial: bool) -> None:
    """Compare arguments with the signature, so that a key that is one too many or too few is named.

    A partial is called with more arguments later, so it may lack some.
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # some callables written in C have none
        return
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for key in arguments:
            if key not in named:
                raise PartError(f"{path}.{key}", f"there is no such key; there are {', '.join(named) or 'none'}")
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
