"""Reads docstrings and signatures from source files, without an import, which could fail or take long.

The form of a docstring: a first line, paragraphs with ``::`` blocks, then ``Args:``, ``Raises:`` and the like, and
``Source: ...``.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_SECTION = re.compile(r"(Args|Returns|Raises|Attributes|Yields):")


@dataclass
class Docs:
    """The documentation of a class or function."""

    text: str = ""  # the docstring without the sections
    arguments: dict[str, str] = field(default_factory=dict)  # argument -> its description
    source: str = ""  # where it is published
    signature: dict[str, str] = field(default_factory=dict)  # argument -> its default in YAML, or "(needed)"


class _Definition(NamedTuple):
    node: ast.ClassDef | ast.FunctionDef
    module: str


def first_line(target: str, roots: Sequence[Path]) -> str:
    """First line of the docstring of ``package.module.Name``, with its source below one of ``roots``; or nothing."""
    definition = _find(target, roots)
    return (ast.get_docstring(definition.node) or "").partition("\n")[0] if definition else ""


def read(target: str, roots: Sequence[Path]) -> Docs:
    """Docstring and signature of ``package.module.Name``, with the ``**options`` that it passes to its bases."""
    docs, fixed = Docs(), set[str]()
    for i, definition in enumerate(_chain(target, roots)):
        text, sections = _split(ast.get_docstring(definition.node) or "")
        if i == 0:
            docs.text, docs.source = text, sections.get("Source", "")
        for name, about in _arguments(sections.get("Args", "")).items():
            docs.arguments.setdefault(name, about)
        defaults, more = _signature(definition.node)
        for name, default in defaults.items():
            if name not in fixed:
                docs.signature.setdefault(name, default)
        if not more:
            break
        fixed |= _fixed(definition.node) - set(docs.signature)
    return docs


def _chain(target: str, roots: Sequence[Path]) -> Iterator[_Definition]:
    """A class and its first bases, as far as their source is available."""
    seen = set[str]()
    while target not in seen and (definition := _find(target, roots)):
        yield definition
        seen.add(target)
        if not isinstance(definition.node, ast.ClassDef) or not definition.node.bases:
            return
        name = ast.unparse(definition.node.bases[0])
        target = f"{definition.module}.{name}"


def _find(target: str, roots: Sequence[Path]) -> _Definition | None:
    for _ in range(8):  # a name may be imported through several modules, or in a circle
        module, _, name = target.rpartition(".")
        tree = next((tree for root in roots if (tree := _parse(root, module)) is not None), None)
        if tree is None:
            return None
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
                return _Definition(node, module)
        moved = _import_origin(tree, module, name, package=_is_package(roots, module))
        if moved is None:
            return None
        target = moved
    return None


def _file(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((p for p in (base / "__init__.py", base.with_name(base.name + ".py")) if module and p.is_file()), None)


def _is_package(roots: Sequence[Path], module: str) -> bool:
    return any((path := _file(root, module)) is not None and path.name == "__init__.py" for root in roots)


def _parse(root: Path, module: str) -> ast.Module | None:
    path = _file(root, module)
    try:
        return ast.parse(path.read_text(encoding="utf-8")) if path else None
    except (SyntaxError, UnicodeDecodeError):
        return None


def _import_origin(tree: ast.Module, module: str, name: str, *, package: bool) -> str | None:
    """The origin of an imported name: ``from .leaky import LIF`` in snnrun.neuron gives snnrun.neuron.leaky.LIF."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    parents = module.split(".") + ([""] if package else [])
                    prefix = parents[: len(parents) - node.level] if node.level else []
                    return ".".join([*prefix, *([node.module] if node.module else []), alias.name])
    return None


def _signature(node: ast.ClassDef | ast.FunctionDef) -> tuple[dict[str, str], bool]:
    """Arguments with their defaults, and True if the base class has more of them."""
    function: ast.FunctionDef | None = node if isinstance(node, ast.FunctionDef) else None
    if isinstance(node, ast.ClassDef):
        function = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        if function is None:  # the fields of a dataclass
            fields = [
                f
                for f in node.body
                if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name) and not _is_class_variable(f)
            ]
            is_dataclass = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
            rows = [(f.target.id, f.value) for f in fields if isinstance(f.target, ast.Name)] if is_dataclass else []
            return {name: _default(value) for name, value in rows}, True
    assert function is not None
    declared = function.args
    positional = [argument.arg for argument in (*declared.posonlyargs, *declared.args)]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(declared.defaults)) + list(declared.defaults)
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += [(argument.arg, value) for argument, value in zip(declared.kwonlyargs, declared.kw_defaults, strict=True)]
    return {name: _default(value) for name, value in pairs if name != "self"}, declared.kwarg is not None


def _fixed(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """The arguments that a class sets in ``super().__init__(name=…)``."""
    calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
    return {
        keyword.arg
        for call in calls
        if ast.unparse(call.func) == "super().__init__"
        for keyword in call.keywords
        if keyword.arg
    }


def _is_class_variable(node: ast.AnnAssign) -> bool:
    return "ClassVar" in ast.unparse(node.annotation)


def _default(value: ast.expr | None) -> str:
    if value is None:
        return "(needed)"
    words = {"None": "null", "True": "true", "False": "false"}
    text = ast.unparse(value)
    return words.get(text, text.strip("'"))


def _split(docstring: str) -> tuple[str, dict[str, str]]:
    """The paragraphs of a docstring, and its sections by name, dedented."""
    body: list[str] = []
    sections: dict[str, list[str]] = {}
    current = body
    for line in docstring.splitlines():
        if heading := _SECTION.fullmatch(line):
            current = sections.setdefault(heading[1], [])
            continue
        if line.startswith("Source:"):
            current = sections.setdefault("Source", [])
            line = line.removeprefix("Source:").strip()
        elif current is sections.get("Source"):
            current = current if line else body  # it ends with its paragraph
        elif current is not body and line and not line.startswith(" "):
            current = body  # a section is indented; here it has ended
        current.append(line)
    return "\n".join(body).strip(), {name: inspect.cleandoc("\n".join(lines)) for name, lines in sections.items()}


def _arguments(section: str) -> dict[str, str]:
    """``name: text`` and ``one, other: text``, with continuation lines indented."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if match := re.fullmatch(r"(\w+(?:, \w+)*): (.*)", line):
            names = match[1].split(", ")
            texts.update(dict.fromkeys(names, match[2]))
        elif not line.startswith(" "):
            names = []
        elif names:
            texts.update({name: f"{texts[name]} {line.strip()}" for name in names})
    return texts
