"""Pages, docstrings and comments avoid phrases that are hard to read for non-native readers.

The list is of constructions that have a plainer form nearly everywhere; a phrase that is often right is not in it. What
is quoted is not checked: code, output, link targets and Markdown's block quotes.

``python tests/unit/test_prose.py`` lists every place in the sources.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "snnrun"
# docs/neurons.md is made from docstrings, which are checked where they stand.
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(path for path in ROOT.glob("docs/**/*.md") if path.name != "neurons.md"),
]


class Rule(NamedTuple):
    """A pattern to avoid, in which a space matches any white space, and what to write instead."""

    pattern: str
    instead: str


RULES = {
    "told": Rule("told", "a program reports, prints, receives; 'is told apart' is 'is distinguished'"),
    "tells": Rule("tells", "a program reports, prints, passes; a page explains"),
    "says": Rule("says", "a program reports, prints; a file has, a page explains"),
    "heard": Rule("hears?|heard", "a program receives"),
    "heed": Rule("heed(s|ed)?", "uses, depends on, respects"),
    "believes": Rule("believes?", "trusts, checks"),
    "one's own": Rule("one's own", "your own, a user's own"),
    "that of": Rule("(that|those) of", "name the noun again, or use a genitive"),
    # "each of which" and the like are right.
    "of which": Rule(r"(?<!each\s)(?<!first\s)(?<!both\s)(?<!all\s)of which", "a second sentence, or 'whose'"),
    "never was": Rule("(that|which) never (was|were)", "uninterrupted, or the noun that is meant"),
    "a way out": Rule("a way (out|back)", "say what cannot be done"),
    "so many": Rule("(after|for|in) so many", "after this many, the number of"),
    "otherwise than": Rule("otherwise than", "differently from; 'the result differs'"),
    "takes no part": Rule("takes? no part", "is not used"),
    "an eye for": Rule("an eye for", "how to recognise"),
    "by heart": Rule("by heart", "overfits"),
    "test part": Rule("(test|training|validation) parts?", "test set, training set, validation set"),
    "one that is not": Rule("one that (is|has|was) (not|no)", "name the noun, with an adjective"),
    "At the end stands": Rule("At the end stands?", "The last lines show"),
}
SUMMARY_RULES = {
    "Whether …": Rule("Whether", "'True if …', or 'Returns whether …'"),
    "two relative clauses": Rule("", "two sentences, or an adjective in place of a clause"),
}


class Text(NamedTuple):
    """A run of prose, and the line of its file on which it begins."""

    path: Path
    line: int
    text: str
    summary: bool = False


class Place(NamedTuple):
    path: Path
    line: int
    phrase: str
    quote: str

    def __str__(self) -> str:
        rule = RULES.get(self.phrase) or SUMMARY_RULES[self.phrase]
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.quote!r}; instead: {rule.instead}"


def blank(text: str, *patterns: str) -> str:
    """The text with what matches taken out, line ends kept."""
    for pattern in patterns:
        text = re.sub(pattern, lambda match: "`" + "\n" * match[0].count("\n"), text, flags=re.M | re.S)
    return text


def of_page(path: Path) -> Iterator[Text]:
    text = path.read_text(encoding="utf-8")
    yield Text(path, 1, blank(text, r"^```.*?^```$", r"^>.*?$", r"`[^`\n]*`", r"\]\([^)]*\)"))


def of_source(path: Path) -> Iterator[Text]:
    """Docstrings, and comments that stand in lines that follow each other."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and ast.get_docstring(node):
                yield Text(path, first.lineno, blank(str(first.value.value), r"``.*?``", r":\w+:`[^`]*`"), summary=True)
    comments: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if comments and token.start[0] != comments[-1][0] + 1:
                yield join(path, comments)
                comments = []
            comments.append((token.start[0], token.string.lstrip("#: ")))
    if comments:
        yield join(path, comments)


def join(path: Path, comments: list[tuple[int, str]]) -> Text:
    return Text(path, comments[0][0], blank("\n".join(text for _, text in comments), r"``.*?``", r"`[^`\n]*`"))


def places(text: Text) -> Iterator[Place]:
    for phrase, rule in RULES.items():
        pattern = rf"(?<![\w`-])(?:{rule.pattern})(?![\w`-])".replace(" ", r"\s+")
        flags = 0 if rule.pattern[0].isupper() else re.I
        for match in re.finditer(pattern, text.text, flags):
            line = text.line + text.text.count("\n", 0, match.start())
            yield Place(text.path, line, phrase, excerpt(text.text, match))
    if text.summary:
        summary = " ".join(text.text.strip().partition("\n\n")[0].split())
        if summary.startswith("Whether"):
            yield Place(text.path, text.line, "Whether …", summary)
        if relative_clauses(summary.partition(". ")[0]) > 1:
            yield Place(text.path, text.line, "two relative clauses", summary)


def excerpt(text: str, match: re.Match[str]) -> str:
    return " ".join(text[max(0, match.start() - 20) : match.end() + 20].split())


def relative_clauses(sentence: str) -> int:
    """How many relative clauses a sentence has, by its pronouns.

    The "that" of "checks that", "so that" and "that of", and the "which" of "says which", are no relative pronouns.
    """
    others = r"\b(?:so|such|in|but|checks?|means?|shows?|knows?|ensures?|notes?|is|expects?|sees?|says?) "
    pronouns = r"\b(?:whose|whom|who|which|that(?! of\b))\b"
    return len(re.findall(pronouns, re.sub(rf"(?:{others}|: )(?:that|which|who)\b", "", sentence)))


def places_in_sources() -> Iterator[Place]:
    for path in sorted(SOURCE.rglob("*.py")):
        for text in of_source(path):
            yield from places(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_is_in_plain_english(page: Path) -> None:
    wrong = [str(place) for text in of_page(page) for place in places(text)]
    assert not wrong, "\n".join(wrong)


def test_docstrings_and_comments_are_in_plain_english() -> None:
    wrong = [str(place) for place in places_in_sources()]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("The rank is told the loss.", ["told"]),
        ("The value is that\nof the best epoch.", ["that of"]),
        ("At the end stands the mean.", ["At the end stands"]),
        ("You say which `is told` it is; the user tells nobody's.", ["tells"]),
        ("Weights of the test set, retold, untold.", []),
    ],
)
def test_the_check_finds_phrases(tmp_path: Path, text: str, phrases: list[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n\n> was told\n\n```sh\nsnnrun told\n```\n", encoding="utf-8")
    assert [place.phrase for part in of_page(page) for place in places(part)] == phrases


def test_the_check_reads_docstrings_and_comments(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    code = '''"""A file that holds what a run that ended said.

It is told.
"""

X = "told"  # of the validation
# part, ``told``


def f():
    """Whether it is."""
'''
    module.write_text(code, encoding="utf-8")
    every = [(place.line, place.phrase) for text in of_source(module) for place in places(text)]
    assert sorted(every) == [(1, "two relative clauses"), (3, "told"), (6, "test part"), (11, "Whether …")]


if __name__ == "__main__":
    print(*places_in_sources(), sep="\n")
