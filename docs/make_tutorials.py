"""Runs the tutorials as their readers would, and keeps their figures.

    python docs/make_tutorials.py              # every page; its figures go to docs/tutorials/images/
    python docs/make_tutorials.py first_run    # one page

What is run is what is seen on the page, in its order and in one empty folder:

- a block after a line with nothing but a file's name in backquotes and a colon is that file;
- a ``sh`` block holds commands, one a line. ``# exit code 2`` behind one says how it ends, if not with 0,
  ``# needs snntorch`` that it is run only where that can be imported, and ``# needs data/fsdd`` only where that folder
  is: this script takes ``data/`` of the current folder, and the tests have none;
- a ``text`` block after it is what the commands print. ``…`` stands for lines, or text, that were left out. Decimals,
  shares, numbers with a unit, dates and tokens differ from machine to machine: of them the form counts alone;
- the title of a figure names the file that it is.

``tests/system/test_tutorials.py`` does the same, and holds what is printed against the page.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

TUTORIALS = Path(__file__).resolve().parent / "tutorials"
GAP = "…"
HOME = "~/snn"  # what a page calls its folder
WIDTH = 900  # of a figure, in pixels, at most
COLOURS = 128

_BLOCK = re.compile(r"(?:^`(?P<name>[\w./-]+)`:\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_FIGURE = re.compile(r"!\[[^\]]*\]\((?P<target>[^)\s]+)(?: \"(?P<source>[^\"]*)\")?\)")
# What differs from machine to machine, or from run to run.
_TOKEN = r"\b(?=[a-f\d]*\d)[a-f\d]{8,64}\b(?:\.\.\.)?"
_TIME = r"\d{4}-\d\d-\d\d(?:T[\d:+]+)?|\b\d\d-\d\d-\d\d\b"
_SPAN = r"\d[\d,]*(?:\.\d+)? (?:s|min|h|d)\b(?!/)"
_NUMBER = r"[+-]?\d[\d,]*(?:\.\d+(?:e[+-]?\d+)?|(?= (?:%|samples/s|k?B|MB)(?!\w))|(?<=epoch \d),|(?<=epoch \d\d),)"
_FORM = re.compile(f"{_TOKEN}|{_TIME}|{_SPAN}|{_NUMBER}")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    name: str  # of the file that it is, or empty


class Printed(NamedTuple):
    """What the commands of a ``sh`` block printed, and what the page says they print."""

    commands: str
    printed: str
    shown: str | None
    left_out: tuple[str, ...]  # commands that were not run, for want of what they need


class Missed(Exception):
    """A command that ended otherwise than the page says."""


def pages() -> list[Path]:
    return sorted(path for path in TUTORIALS.glob("*.md") if path.name != "README.md")


def blocks(page: str) -> list[Block]:
    return [Block(found["language"], found["text"], found["name"] or "") for found in _BLOCK.finditer(page)]


def figures(page: str) -> dict[str, str | None]:
    """The figures of a page, by what they are linked with, and the file in the page's folder that each is."""
    return {found["target"]: found["source"] for found in _FIGURE.finditer(page)}


def run(
    page: str, folder: Path, environment: dict[str, str] | None = None, program: Path | None = None
) -> Iterator[Printed]:
    """Does what the page says in an empty folder; yields after every ``sh`` block.

    ``program`` takes the place of the installed ``snnrun``.

    Raises:
        Missed: for a command that ends with another exit code than the page says.
    """
    with tempfile.TemporaryDirectory() as tools:
        _programs(Path(tools), program)
        base = dict(os.environ) if environment is None else environment
        base = {**base, "PATH": f"{tools}{os.pathsep}{base.get('PATH', os.defpath)}"}
        found = blocks(page)
        for block, after in zip(found, [*found[1:], None], strict=True):
            if block.name:
                path = folder / block.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            elif block.language == "sh":
                shown = after.text if after and after.language == "text" else None
                commands = [line for line in block.text.splitlines() if line.strip()]
                printed = [_command(line, folder, base) for line in commands]
                left_out = tuple(line for line, text in zip(commands, printed, strict=True) if text is None)
                if left_out:  # without what it needs, nothing is compared
                    shown = None
                yield Printed(block.text, "".join(filter(None, printed)), shown, left_out)


def _command(line: str, folder: Path, environment: dict[str, str]) -> str | None:
    """What one command printed; None where it was left out, for want of a package or folder that it needs."""
    _, _, remark = line.rpartition("# ")
    needs = re.fullmatch(r"needs (.+)", remark)
    if needs and not all(_is_there(name, folder) for name in needs[1].split(", ")):
        return None
    code = re.fullmatch(r"exit code (\d+)", remark)
    ended = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    expected = int(code[1]) if code else 0
    if ended.returncode != expected:
        raise Missed(f"expected exit code {expected}, got {ended.returncode}: {line}\n{ended.stdout}")
    return ended.stdout.replace(str(folder), HOME)


def _is_there(name: str, folder: Path) -> bool:
    """True if a package, or with a ``/`` in its name a folder of data, is there."""
    return (folder / name).exists() if "/" in name else importlib.util.find_spec(name) is not None


def drawn(source: str, left_out: Sequence[str]) -> bool:
    """False for a figure in the folder of a command that was left out."""
    return not any(f"hydra.run.dir={source.partition('/figures/')[0]} " in f"{line} " for line in left_out)


def _programs(folder: Path, program: Path | None) -> None:
    """``snnrun`` and ``python`` as they are after an installation, whatever the path is."""
    script = program or Path(sysconfig.get_path("scripts")) / "snnrun"
    words = f"'{script}'" if script.exists() else f"'{sys.executable}' -m snnrun"
    for name, command in (("snnrun", words), ("python", f"'{sys.executable}'")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        path.chmod(0o755)


def difference(shown: str, printed: str) -> str | None:
    """The first line of a page that was not printed so; None if there is none."""
    lines = [line for line in map(form, printed.splitlines()) if line]
    wanted = [line for line in map(form, shown.splitlines()) if line]
    position, gap = 0, False
    for line in wanted:
        if line == GAP:
            gap = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split(GAP))))
        end = len(lines) if gap else min(position + 1, len(lines))
        found = next((place for place in range(position, end) if pattern.fullmatch(lines[place])), None)
        if found is None:
            return line
        position, gap = found + 1, False
    return None if gap or position == len(lines) else f"nothing after the last line, got: {lines[position]}"


def form(line: str) -> str:
    """A line without what differs from run to run."""
    return " ".join(_FORM.sub("#", line).split())


def keep(source: Path, target: Path) -> None:
    """A figure, small enough for a repository."""
    from PIL import Image  # of matplotlib

    with Image.open(source) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        small.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(target, optimize=True)


def main(names: list[str]) -> int:
    for path in pages():
        if names and path.stem not in names:
            continue
        page = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch).resolve()
            if Path("data").is_dir():
                (folder / "data").symlink_to(Path("data").resolve())
            left_out: list[str] = []
            for block in run(page, folder):
                left_out += block.left_out
                print(f"$ {block.commands}{block.printed}")
                if block.shown is not None and (line := difference(block.shown, block.printed)):
                    print(f"{path.name}: not printed: {line}", file=sys.stderr)
            for target, source in figures(page).items():
                if source is not None and drawn(source, left_out):
                    (found,) = folder.glob(source)
                    (TUTORIALS / target).parent.mkdir(parents=True, exist_ok=True)
                    keep(found, TUTORIALS / target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
