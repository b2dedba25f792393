"""Which configuration is the best, and what is said of its lead."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from snnrun.sweep.page import words
from snnrun.sweep.page.gather import JobSummary, sweep
from snnrun.sweep.page.ranking import Ranking, command, label, rank, swept_keys, values_of
from support.swept import make_job, make_sweep


def ranked(folder: Path) -> Ranking:
    return rank(sweep(folder))


def put(folder: Path, figures: dict[str, list[float | None]], test: dict[str, float] | None = None) -> Ranking:
    """A sweep over neurons with these validation figures by seed; None: it failed."""
    number = 0
    for neuron, values in figures.items():
        for seed, value in enumerate(values):
            job = folder / f"{number}-{neuron}"
            status = "failed" if value is None else "finished"
            make_job(job, [f"neuron={neuron}", f"seed={seed}"], value, status=status)
            if test and value is not None:
                result = json.loads((job / "result.json").read_text())
                (job / "result.json").write_text(json.dumps({**result, "test_accuracy": test[neuron]}))
            number += 1
    return ranked(folder)


def test_the_best_by_the_validation_part_alone(tmp_path: Path) -> None:
    found = put(tmp_path / "s", {"if": [0.90, 0.92], "lif": [0.80, 0.82]}, test={"if": 0.1, "lif": 0.99})
    assert found.winner is not None and found.winner.values == {"neuron": "if"}
    assert found.winner.validation is not None and found.winner.validation[:2] == pytest.approx((2, 0.91))
    assert found.winner.test is not None and found.winner.test.mean == 0.1
    assert command(found.winner) == "snnrun -m neuron=if seed=0,1"


def test_a_lead_that_is_real_and_one_that_is_not(tmp_path: Path) -> None:
    found = put(tmp_path / "s", {"a": [0.90, 0.91, 0.92], "b": [0.60, 0.61, 0.63], "c": [0.85, 0.95, 0.88]})
    assert [c.values["neuron"] for c in found.configurations] == ["a", "c", "b"]
    assert found.rivals == [1]
    verdict = words.verdict(found)
    assert verdict.headline == "Not clearly better than 1 of the 2 others."
    assert verdict.detail.startswith("The next, c, is 1.67 points behind (95 % interval −10.")
    assert verdict.detail.endswith("seed by seed). These seeds cannot tell it from: c.")
    clear = put(tmp_path / "t", {"a": [0.90, 0.91, 0.92], "b": [0.60, 0.61, 0.63]})
    assert (
        words.verdict(clear).headline == "Better than the other configuration by more than chance over seeds explains."
    )


def test_a_lower_loss_is_better(tmp_path: Path) -> None:
    found = ranked(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, measure="loss"))
    assert found.measure.name == "loss" and found.winner is not None
    assert found.winner.values == {"neuron": "if"}
    assert "0.15 behind (95 % interval 0.15 to 0.15" in words.verdict(found).detail


def test_r_squared(tmp_path: Path) -> None:
    found = ranked(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, measure="r2"))
    assert found.measure.title == "R²" and found.winner is not None
    assert found.winner.values == {"neuron": "lif"}


def test_one_seed_says_nothing_of_chance(tmp_path: Path) -> None:
    found = ranked(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=1))
    assert words.verdict(found).headline == "Whether it is really better cannot be told from one seed each."
    assert found.rivals == [1] and found.winner is not None
    assert command(found.winner) == "snnrun neuron=lif epochs=3"


def test_the_same_seed_twice_is_one_sample(tmp_path: Path) -> None:
    for number in range(3):
        make_job(tmp_path / f"{number}-x", ["neuron=if", "seed=0"], 0.5 + 0.1 * number)
    make_job(tmp_path / "3-x", ["neuron=lif", "seed=0"], 0.5)
    found = ranked(tmp_path)
    assert found.winner is not None and found.winner.validation is not None
    assert found.winner.validation.n == 1 and found.winner.validation.mean == pytest.approx(0.6)


def test_one_lucky_seed_does_not_win(tmp_path: Path) -> None:
    found = put(tmp_path, {"a": [0.99, None, None, None], "b": [0.9, 0.91, 0.92, 0.93]})
    assert found.configurations[0].values == {"neuron": "a"}
    assert found.winner is not None and found.winner.values == {"neuron": "b"}
    said = " ".join(found.cautions)
    assert "passed over" in said and "3 jobs did not finish" in said


def test_nothing_has_finished(tmp_path: Path) -> None:
    found = put(tmp_path, {"a": [None, None]})
    assert found.winner is None and found.rivals == []
    assert words.verdict(found).headline == "No job has finished yet,"
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "sweep.json").write_text("{}")
    assert ranked(tmp_path / "empty").configurations == ()


def test_figures_that_cannot_be_compared(tmp_path: Path) -> None:
    found = ranked(make_sweep(tmp_path / "s", {"loss": ["a", "b"], "task": ["c", "d"]}, seeds=2, measure="loss"))
    assert any("losses of different functions" in said for said in found.cautions)
    assert any("figures of different tasks" in said for said in found.cautions)


def made(*words: str) -> JobSummary:
    return JobSummary(0, Path("x"), "finished", words, 0)


def test_keys_and_values() -> None:
    jobs = [
        made("neuron=if", "epochs=3", "+extra.a=10"),
        made("neuron=lif", "epochs=3", "+extra.a=9"),
        made("neuron=if"),
    ]
    assert swept_keys(jobs) == ("neuron", "epochs", "extra.a")
    assert swept_keys(jobs[:1]) == ()
    assert values_of("neuron", jobs) == ["if", "lif"], "as they come"
    assert values_of("extra.a", jobs[:2]) == ["9", "10"], "by size"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"neuron": "lif", "surrogate": "atan"}, "lif · atan"),
        ({"neuron.tau": "2", "batch_size": "64"}, "tau=2 · batch_size=64"),
        ({"a.gain": "1", "b.gain": "2"}, "a.gain=1 · b.gain=2"),
        ({}, "all jobs"),
    ],
)
def test_labels(values: dict[str, str], text: str) -> None:
    assert label(values) == text


def test_the_command_is_quoted(tmp_path: Path) -> None:
    evil = ["model.hidden=[500,200]", "output_dir=my runs", "x=$(touch pwned)", "y='; rm -rf ~", "seed=0"]
    make_job(tmp_path / "0-x", evil, 0.5)
    make_job(tmp_path / "1-x", [*evil[:-1], "seed=1"], 0.6)
    winner = ranked(tmp_path).winner
    assert winner is not None
    assert shlex.split(command(winner)) == ["snnrun", "-m", *evil[:-1], "seed=0,1"]
