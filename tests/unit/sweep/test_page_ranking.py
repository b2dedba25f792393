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


def rank_folder(folder: Path) -> Ranking:
    return rank(sweep(folder))


def write_and_rank(
    folder: Path, figures: dict[str, list[float | None]], test: dict[str, float] | None = None
) -> Ranking:
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
    return rank_folder(folder)


def test_the_best_by_the_validation_part_alone(tmp_path: Path) -> None:
    ranking = write_and_rank(tmp_path / "s", {"if": [0.90, 0.92], "lif": [0.80, 0.82]}, test={"if": 0.1, "lif": 0.99})
    assert ranking.winner is not None and ranking.winner.values == {"neuron": "if"}
    assert ranking.winner.validation is not None and ranking.winner.validation[:2] == pytest.approx((2, 0.91))
    assert ranking.winner.test is not None and ranking.winner.test.mean == 0.1
    assert command(ranking.winner) == "snnrun -m neuron=if seed=0,1"


def test_a_lead_that_is_real_and_one_that_is_not(tmp_path: Path) -> None:
    ranking = write_and_rank(
        tmp_path / "s", {"a": [0.90, 0.91, 0.92], "b": [0.60, 0.61, 0.63], "c": [0.85, 0.95, 0.88]}
    )
    assert [c.values["neuron"] for c in ranking.configurations] == ["a", "c", "b"]
    assert ranking.rivals == [1]
    verdict = words.verdict(ranking)
    assert verdict.headline == "Not clearly better than 1 of the 2 others."
    assert verdict.detail.startswith("The next, c, is 1.67 points behind (95 % interval −10.")
    assert verdict.detail.endswith("seed by seed). These seeds cannot tell it from: c.")
    clear = write_and_rank(tmp_path / "t", {"a": [0.90, 0.91, 0.92], "b": [0.60, 0.61, 0.63]})
    assert (
        words.verdict(clear).headline == "Better than the other configuration by more than chance over seeds explains."
    )


def test_a_lower_loss_is_better(tmp_path: Path) -> None:
    ranking = rank_folder(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, measure="loss"))
    assert ranking.measure.name == "loss" and ranking.winner is not None
    assert ranking.winner.values == {"neuron": "if"}
    assert "0.15 behind (95 % interval 0.15 to 0.15" in words.verdict(ranking).detail


def test_r_squared(tmp_path: Path) -> None:
    ranking = rank_folder(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, measure="r2"))
    assert ranking.measure.title == "R²" and ranking.winner is not None
    assert ranking.winner.values == {"neuron": "lif"}


def test_one_seed_does_not_show_chance(tmp_path: Path) -> None:
    ranking = rank_folder(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=1))
    assert words.verdict(ranking).headline == "Whether it is really better cannot be told from one seed each."
    assert ranking.rivals == [1] and ranking.winner is not None
    assert command(ranking.winner) == "snnrun neuron=lif epochs=3"


def test_the_same_seed_twice_is_one_sample(tmp_path: Path) -> None:
    for number in range(3):
        make_job(tmp_path / f"{number}-x", ["neuron=if", "seed=0"], 0.5 + 0.1 * number)
    make_job(tmp_path / "3-x", ["neuron=lif", "seed=0"], 0.5)
    ranking = rank_folder(tmp_path)
    assert ranking.winner is not None and ranking.winner.validation is not None
    assert ranking.winner.validation.n == 1 and ranking.winner.validation.mean == pytest.approx(0.6)


def test_one_lucky_seed_does_not_win(tmp_path: Path) -> None:
    ranking = write_and_rank(tmp_path, {"a": [0.99, None, None, None], "b": [0.9, 0.91, 0.92, 0.93]})
    assert ranking.configurations[0].values == {"neuron": "a"}
    assert ranking.winner is not None and ranking.winner.values == {"neuron": "b"}
    cautions = " ".join(ranking.cautions)
    assert "passed over" in cautions and "3 jobs did not finish" in cautions


def test_nothing_has_finished(tmp_path: Path) -> None:
    ranking = write_and_rank(tmp_path, {"a": [None, None]})
    assert ranking.winner is None and ranking.rivals == []
    assert words.verdict(ranking).headline == "No job has finished yet,"
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "sweep.json").write_text("{}")
    assert rank_folder(tmp_path / "empty").configurations == ()


def test_figures_that_cannot_be_compared(tmp_path: Path) -> None:
    ranking = rank_folder(make_sweep(tmp_path / "s", {"loss": ["a", "b"], "task": ["c", "d"]}, seeds=2, measure="loss"))
    assert any("losses of different functions" in caution for caution in ranking.cautions)
    assert any("figures of different tasks" in caution for caution in ranking.cautions)


def job_with(*words: str) -> JobSummary:
    return JobSummary(0, Path("x"), "finished", words, 0)


def test_keys_and_values() -> None:
    jobs = [
        job_with("neuron=if", "epochs=3", "+extra.a=10"),
        job_with("neuron=lif", "epochs=3", "+extra.a=9"),
        job_with("neuron=if"),
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
    winner = rank_folder(tmp_path).winner
    assert winner is not None
    assert shlex.split(command(winner)) == ["snnrun", "-m", *evil[:-1], "seed=0,1"]
