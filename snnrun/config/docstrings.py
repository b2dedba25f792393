"""Docstrings and signatures read from source files: nothing is imported, so nothing can break or take long.

A docstring is written as this project writes them: a first line, paragraphs with ``::`` blocks, then ``Args:``,
``Raises:`` and the like, and ``Source: ...``.
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
    """What the source says of a class or function."""

    text: str = ""  # the docstring without the sections
    arguments: dict[str, str] = field(default_factory=dict)  # argument -> what it is for
    source: str = ""  # where it is published
    signature: dict[str, str] = field(default_factory=dict)  # argument -> its default as YAML writes it, or "(needed)"


class _Found(NamedTuple):
    node: ast.ClassDef | ast.FunctionDef
    module: str


def first_line(target: str, roots: Sequence[Path]) -> str:
    """First line of the docstring of ``package.module.Name``, whose source lies below one of ``roots``; or nothing."""
    found = _find(target, roots)
    return (ast.get_docstring(found.node) or "").partition("\n")[0] if found else ""


def read(target: str, roots: Sequence[Path]) -> Docs:
    """Docstring and signature of ``package.module.Name``, with what it hands on as ``**options`` to its bases."""
    docs = Docs()
    for i, found in enumerate(_chain(target, roots)):
        text, sections = _split(ast.get_docstring(found.node) or "")
        if i == 0:
            docs.text, docs.source = text, sections.get("Source", "")
        for name, about in _arguments(sections.get("Args", "")).items():
            docs.arguments.setdefault(name, about)
        defaults, more = _signature(found.node)
        for name, default in defaults.items():
            docs.signature.setdefault(name, default)
        if not more:
            break
    return docs


def _chain(target: str, roots: Sequence[Path]) -> Iterator[_Found]:
    """A class and its first bases, as far as their source is at hand."""
    seen = set[str]()
    while target not in seen and (found := _find(target, roots)):
        yield found
        seen.add(target)
        if not isinstance(found.node, ast.ClassDef) or not found.node.bases:
            return
        name = ast.unparse(found.node.bases[0])
        target = f"{found.module}.{name}"


def _find(target: str, roots: Sequence[Path]) -> _Found | None:
    for _ in range(8):  # a name may be imported from module to module; a circle ends here
        module, _, name = target.rpartition(".")
        tree = next((tree for root in roots if (tree := _parse(root, module)) is not None), None)
        if tree is None:
            return None
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
                return _Found(node, module)
        moved = _imported_from(tree, module, name, package=_is_package(roots, module))
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


def _signature(node: ast.ClassDef | ast.FunctionDef) -> tuple[dict[str, str], bool]:
    """Arguments with their defaults, and whether the base class has more of them."""
    function: ast.FunctionDef | None = node if isinstance(node, ast.FunctionDef) else None
    if isinstance(node, ast.ClassDef):
        function = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        if function is None:  # the fields of a dataclass, after those of its base
            fields = [
                f
                for f in node.body
                if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name) and not _is_class_variable(f)
            ]
            is_dataclass = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
            named = [(f.target.id, f.value) for f in fields if isinstance(f.target, ast.Name)] if is_dataclass else []
            return {name: _default(value) for name, value in named}, True
    assert function is not None
    given = function.args
    positional = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += [(argument.arg, value) for argument, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return {name: _default(value) for name, value in pairs if name != "self"}, given.kwarg is not None


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
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if match := re.fullmatch(r"(\w+(?:, \w+)*): (.*)", line):
            names = match[1].split(", ")
            found.update(dict.fromkeys(names, match[2]))
        elif not line.startswith(" "):
            names = []
        elif names:
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found
