"""``snnrun report`` and ``snnrun best``: what they say and leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import Command
from support.made_up import make_run
from support.swept import evil_sweep, make_job, make_sweep

SWEEP = Path("outputs/multirun/2026-03-01/12-00-00-0e9b2c55")


def test_a_sweep(command: Command) -> None:
    make_sweep(SWEEP, {"neuron": ["if", "lif"]})
    assert command("report", "0e9b2c55") == (0, f"{SWEEP}/report.html\n{SWEEP}/results.csv\n", "")
    assert "72.65" not in (SWEEP / "report.html").read_text(encoding="utf-8")
    assert "65.15 %" in (SWEEP / "report.html").read_text(encoding="utf-8")
    assert len((SWEEP / "results.csv").read_text(encoding="utf-8").splitlines()) == 9
    assert command("report", str(SWEEP)).code == 0, "once more, over the old ones"


def test_a_run(command: Command) -> None:
    folder = make_run(Path("outputs/2026-03-01/12-00-00-lif-5d3a9e01"), changes={"epochs": 7})
    assert command("report", "5d3a9e01") == (0, f"{folder}/report.html\n", "")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "epochs=7" in page and "97.50 %" in page


def test_the_best(command: Command) -> None:
    make_sweep(SWEEP, {"neuron": ["if", "lif"]}, seeds=2)
    before = sorted(SWEEP.rglob("*"))
    assert command("best", "0e9b2c55") == (
        0,
        "best of 2 configurations, by the mean over seeds of the validation result; the\n"
        "test set is not used for the choice\n"
        "\n"
        "  neuron=lif\n"
        "  validation accuracy  65.05 % ± 0.07, 2 seeds\n"
        "  95 % interval        64.41 to 65.69\n"
        "  test accuracy        65.05 % ± 0.07\n"
        f"  folders              {SWEEP}/2-job-s0\n"
        f"                       {SWEEP}/3-job-s1\n"
        "\n"
        "Better than the other configuration by more than chance over seeds explains. The\n"
        "next, if, is 15.00 points behind (95 % interval 15.00 to 15.00, seed by seed).\n"
        "\n"
        "  snnrun -m neuron=lif epochs=3 seed=0,1\n",
        "",
    )
    assert sorted(SWEEP.rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (("report",), ["report: ", "one sweep or run", "got nothing", "`snnrun report --help`"]),
        (("best", "a", "b"), ["best: ", "one sweep", "got a b", "`snnrun best --help`"]),
        (("best", "a", "-m"), ["best: ", "--help and --debug"]),
        (("report", "nothing"), ["nothing: ", "a sweep or a run", "no such folder"]),
        (("best", "run"), ["run: ", "a sweep", "got a single run", "`snnrun show`"]),
        (("best", "failed"), ["failed: ", "a finished job", "got 1 failed", "`snnrun report`"]),
        (("report", "plotted/0-x"), ["plotted/0-x: ", "a training run", "got one of `snnrun plot`"]),
        (("report", "plotted"), ["plotted: ", "a sweep of training runs", "got one of `snnrun plot`"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_words_that_do_not_go(command: Command, line: tuple[str, ...], facts: list[str]) -> None:
    make_run(Path("run"))
    make_job(Path("failed") / "0-x", ["seed=0"], None, status="failed")
    plot = make_run(Path("plotted/0-x"))
    hydra = plot / ".hydra" / "hydra.yaml"
    hydra.write_text(hydra.read_text().replace("config_name: config", "config_name: plot"))
    outcome = command(*line)
    assert (outcome.code, outcome.out) == (2, "")
    for fact in facts:
        assert fact in outcome.err


@pytest.mark.parametrize("name", ["report", "best"])
def test_help(command: Command, name: str) -> None:
    assert f"usage: snnrun {name} SWEEP" in command(name, "--help").out


def test_a_folder_that_cannot_be_written(command: Command) -> None:
    make_sweep(SWEEP, {"neuron": ["if"]}, seeds=2)
    (SWEEP / "report.html").mkdir()
    outcome = command("report", str(SWEEP))
    assert outcome.code == 6 and "report.html: writing failed" in outcome.err
    assert "Free some space or check the rights" in outcome.err


def test_a_link_is_replaced_and_not_followed(command: Command) -> None:
    make_sweep(SWEEP, {"neuron": ["if"]}, seeds=2)
    Path("mine").write_text("mine")
    (SWEEP / "report.html").symlink_to(Path("mine").resolve())
    assert command("report", str(SWEEP)).code == 0
    assert Path("mine").read_text() == "mine" and not (SWEEP / "report.html").is_symlink()


def test_a_strangers_sweep(command: Command) -> None:
    evil_sweep(SWEEP)
    for name in ("report", "best"):
        outcome = command(name, str(SWEEP))
        assert (outcome.code, outcome.err) == (0, "")
        assert all(line.isprintable() for line in outcome.out.split("\n"))
