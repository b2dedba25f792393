"""``results.csv``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from snnrun.sweep.page.gather import sweep
from snnrun.sweep.page.ranking import rank
from snnrun.sweep.page.results_csv import csv_text, harmless
from support.swept import make_job, make_sweep


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(csv_text(rank(sweep(folder))).splitlines()))


def test_a_row_for_each_job(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"], "optimizer.lr": ["0.1"]}, seeds=2)
    make_job(folder / "4-bad", ["neuron=if", "seed=5"], 0.4, status="failed", error='loss is nan, at "step" 3')
    rows = rows_of(folder)
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[3] == {
        "number": "3",
        "folder": "3-job-s1",
        "status": "finished",
        "neuron": "lif",
        "optimizer.lr": "0.1",
        "epochs": "3",
        "config.epochs": "3",
        "seed": "1",
        "test_accuracy": "0.651",
        "test_r2": "",
        "test_loss": "0.5",
        "validation_accuracy": "0.651",
        "validation_r2": "",
        "validation_loss": "0.6666666666666666",
        "best_epoch": "3",
        "spikes_per_inference": "525.0",
        "parameters": "7510",
        "seconds": "12.5",
        "weights_sha256": "abcdef",
        "failure": "",
    }
    assert (rows[4]["status"], rows[4]["failure"]) == ("failed", 'loss is nan, at "step" 3')
    assert (rows[4]["test_accuracy"], rows[4]["validation_accuracy"]) == ("", "0.4")


def test_every_name_of_a_column_comes_once(tmp_path: Path) -> None:
    for number, status in enumerate(("0", "1")):
        make_job(tmp_path / f"{number}-x", [f"status={status}", f"seconds={status}"], 0.5)
    head = csv_text(rank(sweep(tmp_path))).partition("\n")[0].split(",")
    assert len(head) == len(set(head)) and {"status", "config.status"} <= set(head)


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@SUM(A1)", "=HYPERLINK(1)", "-1+1"])
def test_no_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-1", "+1.5e-3", "-.5", "lif", "a=1", "[1,2]"])
def test_what_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_a_strangers_table(tmp_path: Path) -> None:
    for number, value in enumerate(("=cmd|' /C calc'!A0", "a\nb,c")):
        make_job(tmp_path / f"{number}-x", [f"neuron={value}"], 0.5, status="failed", error="=1+1\n=2")
    assert [row["neuron"] for row in rows_of(tmp_path)] == ["'=cmd|' /C calc'!A0", "a b,c"]
    assert [row["failure"] for row in rows_of(tmp_path)] == 2 * ["'=1+1 =2"]
    assert json.loads((tmp_path / "0-x" / "result.json").read_text())["error"] == "=1+1\n=2"
