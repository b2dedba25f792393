"""The benchmarks run and write what they say; what they measure is no matter of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.account import PARTS
from benchmarks.job import FLOOR, INPUTS, OURS, OURS_BF16
from support.paths import ROOT


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``python -m benchmarks --quick`` writes, in a folder of its own."""
    folder = tmp_path_factory.mktemp("benchmarks")
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--output", "numbers.json"],
        cwd=folder,
        # One thread: the products are tiny, and the suite's other process has the second core.
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert [path.name for path in folder.iterdir()] == ["numbers.json"]
    numbers: dict[str, Any] = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    return numbers


def test_the_job_is_done_with_both_kinds_of_input(result: dict[str, Any]) -> None:
    assert [entry["job"]["input"] for entry in result["job"]] == list(INPUTS)
    for entry in result["job"]:
        assert {OURS, OURS_BF16, FLOOR} <= set(entry["contenders"])
        for numbers in entry["contenders"].values():
            assert len(numbers["seconds"]) == entry["job"]["epochs"] * len(entry["job"]["seeds"])
            assert all(seconds > 0 for seconds in numbers["seconds"])
        assert len(entry["contenders"][OURS]["accuracy"]) == len(entry["job"]["seeds"])


def test_the_account_of_a_step_is_complete(result: dict[str, Any]) -> None:
    for entry in result["job"]:
        for shares in entry["account"].values():
            assert list(shares) == list(PARTS)
            assert sum(shares.values()) == pytest.approx(1)
            assert all(share > 0 for share in shares.values())


def test_peers_start_from_the_same_weights_and_data(result: dict[str, Any]) -> None:
    """With a constant input snnTorch computes what snnrun computes; the others' neurons differ a little."""
    contenders = result["job"][0]["contenders"]
    for name, numbers in contenders.items():
        if numbers["first_loss"] is not None:
            tolerance = 1e-5 if name.startswith(("snnTorch", OURS)) and name != OURS_BF16 else 0.05
            assert numbers["first_loss"] == pytest.approx(contenders[OURS]["first_loss"], rel=tolerance), name


def test_layers_are_measured_in_time_and_where_possible_in_memory(result: dict[str, Any]) -> None:
    for entry in result["layer"]:
        for numbers in entry["contenders"].values():
            assert len(numbers["seconds"]) == 1
            assert numbers["bytes"] is None or numbers["bytes"] >= 0
    assert set(result["alone"][0]["seconds"]) == {"fused", "reference"}
    assert set(result["growth"]["seconds"]) == {"5", "10"}


def test_recurrent_networks_are_measured_beside_torchs(result: dict[str, Any]) -> None:
    for case in result["recurrent"]["cases"]:
        assert {"snnrun", "torch.nn.RNN"} <= set(case["seconds"])
        assert all(len(seconds) == 1 for seconds in case["seconds"].values())


def test_convolutional_networks_are_measured_beside_relu(result: dict[str, Any]) -> None:
    cases = result["convolutional"]["cases"]
    assert {"snnrun", "snnrun, memory=low", "with ReLU", "with ReLU, channels last"} <= set(cases[0]["seconds"])
    for case in cases:
        assert {"snnrun", "with ReLU"} <= set(case["seconds"])
        assert all(len(seconds) == 1 for seconds in case["seconds"].values())


def test_memory_of_convolutional_networks_is_measured_where_possible(result: dict[str, Any]) -> None:
    (case,) = result["convolutional_memory"]["cases"]
    assert {"snnrun", "snnrun, memory=low", "with ReLU"} <= set(case["bytes"])
    assert all(size is None or size >= 0 for size in case["bytes"].values())
    assert len(report.convolutional_memory([case])) == 2 + len(case["bytes"])


def test_short_runs_are_measured_from_start_to_end(result: dict[str, Any]) -> None:
    assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in result["start"]["seconds"].values())
    assert len(result["start"]["seconds"]) == len(report.start(result["start"]["seconds"])) - 2


def test_numbers_name_the_machine_and_nobody(result: dict[str, Any]) -> None:
    assert result["machine"]["threads"] == 1
    assert {"torch", "llvmlite", "snnrun"} <= set(result["machine"]["packages"])
    text = json.dumps(result)
    assert str(ROOT) not in text and str(Path.home()) not in text
    node = os.uname().nodename if hasattr(os, "uname") else ""
    assert not node or f'"{node}"' not in text


def test_every_number_finds_its_table(result: dict[str, Any]) -> None:
    lines = report.tables(result)
    for entry in result["job"]:
        assert sum(line.startswith(f"| {OURS} |") for line in lines) == len(result["job"])
        assert f"| {entry['job']['input']}, bf16 |" in "\n".join(lines)
    page = report.filled("page.md", f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", lines)
    assert page.startswith("before\n") and page.endswith("\nafter\n") and "old" not in page
    assert report.filled("page.md", page, lines) == page


def test_a_run_on_a_busy_machine_is_measured(tmp_path: Path) -> None:
    words = ["--quick", "--output", "busy.json"]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.busy", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    numbers = json.loads((tmp_path / "busy.json").read_text(encoding="utf-8"))
    ((name, kinds),) = numbers["busy"]["seconds"].items()
    assert {kind: len(times) for kind, times in kinds.items()} == {"alone": 1, "loop": 1, "run": 1}
    assert any(f"`{name}`" in line for line in report.busy(numbers["busy"]))


def test_the_benchmark_for_gpus_runs_whole_on_the_cpu(tmp_path: Path) -> None:
    """Tiny, with all that it measures on a GPU, and its page has every table."""
    pytest.importorskip("triton")
    words = ["--device", "cpu", "--quick", "--output", "gpu.json"]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    result = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    parts = {"machine_code", "launches", "neurons", "convolutions", "job", "layer", "recurrent", "convolutional"}
    assert parts <= set(result["gpu"])
    assert all(row["difference"] is None for row in result["gpu"]["neurons"])
    assert sum(line.startswith("### ") for line in report.tables(result)) >= len(parts)
