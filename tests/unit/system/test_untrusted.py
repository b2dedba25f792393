"""Files from strangers: read in part, never followed, never waited for; text that does nothing to a terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from yaml.scanner import ScannerError

from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable, flatten, printable, quote


def parametrize_by_number(names: tuple[str, str], cases: list[tuple[Any, str]]) -> pytest.MarkDecorator:
    """``parametrize``, whose names would be the values: millions of characters."""
    return pytest.mark.parametrize(names, cases, ids=[str(i) for i in range(len(cases))])


class LimitLoader(yaml.SafeLoader):
    """A parser with a limit of its own, which it meets while it reads ahead, as the C loader of PyYAML 6.0.4 does."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level > 60:
            raise ScannerError(problem="any words", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(TokenClass)


@pytest.fixture(
    params=[getattr(yaml, "CSafeLoader", None), yaml.SafeLoader, LimitLoader], ids=["C", "Python", "limited"]
)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads YAML with each loader that there is."""
    if request.param is None:
        pytest.skip("PyYAML was built without LibYAML")
    monkeypatch.setattr(safe_read, "_LOADER", request.param)


def write(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


@parametrize_by_number(
    ("text", "output"),
    [
        ("plain text, β and 学", "plain text, β and 学"),
        ("two\nlines\tand\r more", "two lines and more"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[?1049hgone", "gone"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1;2|device\x1b\\after", "after"),
        ("\x9b31mred\x9d0;t\x9cx", "redx"),
        ("\x1b", ""),
        ("a\x00b\x7fc\x08d", "abcd"),
        ("\u202egnp.exe\u2066\u200b\ufeff", "gnp.exe"),
        ("\ud800half", "half"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
    ],
)
def test_text_for_a_terminal(text: str, output: str) -> None:
    assert printable(text) == output


def test_every_character_alone_and_after_an_escape() -> None:
    for code in range(0x3000):
        for text in (chr(code), f"\x1b{chr(code)}", f"\x1b[{chr(code)}"):
            result = printable(text)
            assert not result or result.isprintable(), hex(code)


def test_long_text_is_cut() -> None:
    assert printable("x" * 10_000_000, 20) == "x" * 17 + "..."
    assert printable("\x1b[31m" * 1_000_000) == ""


@parametrize_by_number(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.001, "0.001"),
        ([1, "a", None], "[1, a, null]"),
        ({"a": {"b": [1]}}, "{a: {b: [1]}}"),
        ([[[[1]]]], "[[[...]]]"),
        (list(range(30)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ...]"),
        (1 << 200_000, "(a huge number)"),
        ({1 << 200_000}, "(a huge number)"),
        ("\x1b[31mred", "red"),
        ({"\x1b[31mred": "\x07"}, "{red: }"),
    ],
)
def test_values_on_one_line(value: object, text: str) -> None:
    assert quote(value) == text


def test_leaves_by_dotted_keys() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1]}, "e": {}}) == {"a.b.c": 1, "a.d": [1], "e": {}}
    assert flatten({"a": {(1 << 200_000): 2}}) == {"a.(a huge number)": 2}
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert len(flatten(deep)) == 1


def test_json(tmp_path: Path) -> None:
    write(tmp_path, "a", '\ufeff{"a": [1, 2.5, NaN, 1e999], "b": "\\u0007", "c": ' + "9" * 5000 + "}")
    assert safe_read.json_object(tmp_path, "a") == {"a": [1, 2.5, None, None], "b": "\x07", "c": None}


@parametrize_by_number(
    ("content", "reason"),
    [
        ("", "no JSON, line 1"),
        ('{"a": 1,\n', "no JSON, line 2"),
        ("[1]", "no JSON object"),
        ("\0" * 100, "no JSON, line 1"),
        (b"\xff\xfe\x80", "no JSON, line 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": "' + "x" * safe_read.LARGEST + '"}', "more than 1 MiB"),
    ],
)
def test_what_is_no_json(tmp_path: Path, content: str | bytes, reason: str) -> None:
    write(tmp_path, "a", content)
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        safe_read.json_object(tmp_path, "a")


@pytest.mark.usefixtures("loader")
def test_yaml(tmp_path: Path) -> None:
    write(tmp_path, "a", "a: {b: [1, 2.5, null, yes]}\n1: x\n")
    assert safe_read.yaml_object(tmp_path, "a") == {"a": {"b": [1, 2.5, None, True]}, "1": "x"}


LAUGHS = "a0: &a0 [ha, ha, ha]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))


@pytest.mark.usefixtures("loader")
@parametrize_by_number(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("- 1\n", "no mapping of keys to values, such as epochs: 5"),
        ("a: [1,\nb: 2\n", "no plain YAML, line 3"),
        ("a: !!python/object/apply:os.system ['touch pwned']\n", "no plain YAML, line 1"),
        ("a: !!python/name:os.system\n", "no plain YAML, line 1"),
        ("a: !mine 3\n", "no plain YAML, line 1"),
        (LAUGHS, "aliases"),
        ("a: &a [*a]\n", "aliases"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("".join(" " * i + "a:\n" for i in range(200)), "nested too deeply"),
        ("a: 2026-13-45\n", "no plain YAML"),
        ("a: " + "9" * 100_000, "no plain YAML"),
        ("? [a]\n: b\n", "no plain YAML, line 1"),
        ("a: \0\n", "no plain YAML"),
        ("a: " + "[" * 100 + "\n# " + "x" * 100_000 + "\0\n", "no plain YAML"),
        ("a: " + "[" * 70 + "@", "no plain YAML, line 1"),
        ("a: |\n x\n  y\n z\nw", "no plain YAML, line 5"),
        ("# " + "x" * safe_read.LARGEST_YAML, "more than 256 KiB"),
    ],
)
def test_what_is_no_yaml(tmp_path: Path, content: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a", content)
    with pytest.raises(Unreadable, match=f"^{reason}"):
        safe_read.yaml_object(tmp_path, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_number_that_yaml_reads_but_nothing_can_print(tmp_path: Path) -> None:
    write(tmp_path, "a", f"0x{'f' * 1000}: 0x{'f' * 50_000}\n")
    (pair,) = safe_read.yaml_object(tmp_path, "a").items()
    assert (pair[0], quote(pair[1])) == ("(a huge number)", "(a huge number)")


@pytest.mark.usefixtures("loader")
@parametrize_by_number(
    ("text", "problem"),
    [
        (LAUGHS, "aliases that stand for too much"),
        ("a: &a [*a]\n", "aliases that stand for too much"),
        ("a: &a {b: {c: *a}}\n", "aliases that stand for too much"),
        ("a: " + "[" * 200_000 + "]" * 200_000, "nested too deeply"),
        ("a: " + "{b: " * 200_000, "nested too deeply"),
        ("- " * 1100, "nested too deeply"),
        ("? " * 1100, "nested too deeply"),
        ("[" * 50 + "]" * 50, "nested too deeply"),
        ("[" * 50 + "]" * 50 + "\n]", "nested too deeply"),
    ],
)
def test_yaml_that_is_short_and_too_much(text: str, problem: str) -> None:
    with pytest.raises(safe_read.Heavy) as error:
        safe_read.weigh(text)
    assert error.value.problem == problem


@pytest.mark.usefixtures("loader")
def test_yaml_that_is_not_too_much() -> None:
    safe_read.weigh("")
    safe_read.weigh("[" * 49 + "]" * 49)
    safe_read.weigh("a: &a [1, &b {c: 1}]\nb: *a\nc: [*b, *b, *a]\nd: &s text\ne: *s\n")
    safe_read.weigh("- 1\n" * 2000)
    with pytest.raises(safe_read.Heavy):
        safe_read.weigh("a: &a [1, 2]\nb: [*a, *a]\n", most=5)
    safe_read.weigh("a: &a [1, 2]\nb: [*a, *a]\n", most=6)


def test_long_yaml() -> None:
    safe_read.weigh("- 1\n" * 200_000)


def test_lines_of_a_large_file(tmp_path: Path) -> None:
    write(tmp_path, "a", "".join(f"{i}\n" for i in range(1000)))
    assert list(safe_read.lines(tmp_path, "a", 10_000)) == [f"{i}\n".encode() for i in range(1000)]
    assert list(safe_read.lines(tmp_path, "a", 10)) == [b"998\n", b"999\n"]


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_what_is_no_file(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside, "secret", "secret")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "link").symlink_to(outside / "secret")
    (folder / "loop").symlink_to("loop")
    (folder / "linked").symlink_to(outside)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    for name, reason in {
        "link": "a link",
        "loop": "a link",
        "linked/secret": "linked is a link",
        "folder": "no file",
        "pipe": "no file",
        "nothing": "missing",
        "a" * 300: "File name too long",
        "a\0b": "embedded null byte",
    }.items():
        with pytest.raises(Unreadable, match=f"^{reason}$"):
            safe_read.head(folder, name)
