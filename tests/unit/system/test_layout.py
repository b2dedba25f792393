"""Text that fits the screen."""

from __future__ import annotations

import pytest

from snnrun.system.layout import columns, fit, page_width

PROSE = (
    "model.hidden: expected a list of positive whole numbers such as [500,200], got 'many'; see `snnrun --help` for it"
)
ROW = "  --resume[=FOLDER]   with -m: run what is not finished of the newest sweep of this command"
LONG_ROW = "  snnrun -m hydra/launcher=local_parallel seed=0,1,2,3,4    several at a time; others are slurm and ray"


@pytest.mark.parametrize("text", [PROSE, ROW, LONG_ROW, f"{PROSE}\n{ROW}\n\n    {PROSE}"])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_fit(text: str, width: int) -> None:
    lines = fit(text, width)
    assert all(len(line) <= width or " " not in line.strip() or "snnrun -m" in line for line in lines.splitlines())
    assert lines.split() == text.split(), "no word is lost or cut"


def test_what_fits_stays_as_it_is() -> None:
    text = "a  b\n\n   c   d e\n"
    assert fit(text, 12) == text


def test_a_row_goes_on_in_its_second_column() -> None:
    first, *others = fit(ROW, 60).splitlines()
    assert first.startswith("  --resume[=FOLDER]   with -m: ")
    assert others and all(line[:22] == " " * 22 != line[:23] for line in others)


def test_or_below_the_first() -> None:
    assert fit(LONG_ROW, 80).splitlines() == [
        "  snnrun -m hydra/launcher=local_parallel seed=0,1,2,3,4",
        "        several at a time; others are slurm and ray",
    ]


@pytest.mark.parametrize("command", ["`snnrun resume outputs/a b/c`", "'model.bias_init=\"uniform(0, 1)\"'"])
def test_a_command_is_never_broken(command: str) -> None:
    for width in range(10, 60):
        assert command in fit(f"the run goes on with {command}, and so on", width)


def test_the_width_is_that_of_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, width in (("60", 60), ("80", 80), ("300", 100), ("3", 20)):
        monkeypatch.setenv("COLUMNS", variable)
        assert columns() == int(variable) and page_width() == width
    monkeypatch.setenv("COLUMNS", "wide")
    assert page_width() == 80
