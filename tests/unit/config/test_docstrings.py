"""Docstrings and signatures, read from source files that are never imported."""

from __future__ import annotations

from pathlib import Path

from snnrun.config.docstrings import first_line, read

SOURCE = '''
from dataclasses import dataclass
from typing import ClassVar

raise RuntimeError("never imported")


class Base:
    """Base.

    Args:
        one, two: of both,
            on two lines.
        three: of the third.
        four: overridden.

    Source: the base's.
    """

    def __init__(self, *, one=1, two=None, three: str = "x", shape=(1, 2)):
        pass


class Part(Base):
    """One line.

    A paragraph::

        x = 1

    Args:
        four: of the fourth.

        five: after an empty line.

    A paragraph after a section.

    Raises:
        ValueError: always.

    Source: a book,
    second edition.
    """

    def __init__(self, four, five=True, **options):
        super().__init__(**options)


@dataclass(frozen=True)
class Fields(Base2):
    """Fields."""

    kind: ClassVar[str] = "x"
    alpha: float = 2.0
    name: str


def function(a, b=-1.5, *, c=[1]):
    """A function."""


class Circle(Circle):
    pass
'''


def test_docstring_signature_and_those_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    docs = read("mine.Part", [tmp_path])
    assert docs.text.split("\n\n") == ["One line.", "A paragraph::", "    x = 1", "A paragraph after a section."]
    assert docs.source.split() == ["a", "book,", "second", "edition."]
    about = {"one": "of both, on two lines.", "three": "of the third.", "four": "of the fourth."}
    assert docs.arguments == {**about, "two": about["one"], "five": "after an empty line."}
    assert list(docs.signature.items()) == [
        ("four", "(needed)"),
        ("five", "true"),
        ("one", "1"),
        ("two", "null"),
        ("three", "x"),
        ("shape", "(1, 2)"),
    ]
    assert first_line("mine.Part", [tmp_path]) == "One line."


def test_fields_functions_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("class X(:\n")
    assert read("mine.Fields", [tmp_path]).signature == {"alpha": "2.0", "name": "(needed)"}
    assert read("mine.function", [tmp_path]).signature == {"a": "(needed)", "b": "-1.5", "c": "[1]"}
    assert read("mine.Circle", [tmp_path]).text == ""
    for target in ("mine.Nothing", "nowhere.X", "broken.X", "X", ""):
        assert read(target, [tmp_path]) == read("mine.Nothing", [])
        assert first_line(target, [tmp_path]) == ""
