"""The page as text: whole, in one file, and with nothing in it that a run could make into code."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnrun.report.page.curves import bands, points, thin
from snnrun.report.page.environment import environment
from snnrun.report.page.gather import Job, job, sweep
from snnrun.report.page.html import SCRIPTS, asset, harmless_json, policy
from snnrun.report.page.ranking import rank
from snnrun.report.page.raster import rasters, sample_of
from snnrun.report.page.run import run_page
from snnrun.report.page.sweep import names, sweep_page
from swept import EVIL, evil_sweep, make_job, make_sweep

LARGEST = 2_000_000  # bytes of a page
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "a", "main", "header", "section", "footer", "script"),
    *("p", "h1", "h2", "h3", "small", "span", "div", "b", "code", "pre", "em", "dl", "dt", "dd"),
    *("button", "label", "select", "option", "details", "summary", "figure", "figcaption"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "line", "circle"),
}


class Elements(HTMLParser):
    """Names and attributes of all elements, and what stands in the scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data


def check(page: str) -> Elements:
    """No element of a stranger's, no request to anywhere, no script but ours."""
    seen = Elements(page)
    assert {name for name, _ in seen.found} <= ELEMENTS
    for name, attributes in seen.found:
        assert not any(key.startswith("on") for key in attributes), attributes
        assert "src" not in attributes and str(attributes.get("href", "#")).startswith("#"), (name, attributes)
    data, *scripts = seen.scripts
    assert scripts == [asset(name) for name in SCRIPTS]
    json.loads(data)
    metas = [attributes for name, attributes in seen.found if name == "meta"]
    (content,) = [str(meta["content"]) for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert content == policy(scripts) and content.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in content.partition("style-src")[0]
    assert len(page.encode()) < LARGEST
    return seen


def test_a_sweep_is_told(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"], "surrogate": ["atan", "sigmoid"]})
    make_job(
        folder / "16-bad", ["neuron=bad", "seed=0"], 0.4, status="failed", error="loss is nan", log="the last line"
    )
    page = sweep_page(rank(sweep(folder)))
    check(page)
    for text in (
        "72.65 %",
        "snnrun -m neuron=lif surrogate=sigmoid epochs=3 seed=0,1,2,3",
        "loss is nan",
        "the last line",
    ):
        assert text in page
    assert page.count('<circle cx="') == 4, "an interval's picture for each configuration with a figure"


@pytest.mark.parametrize("measure", ["loss", "r2"])
def test_other_measures(tmp_path: Path, measure: str) -> None:
    page = sweep_page(rank(sweep(make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, measure=measure))))
    check(page)
    title = {"loss": "validation loss", "r2": "validation R²"}[measure]
    assert f">{title}</th>" in page and "validation accuracy" not in re.sub(r"<script>.*", "", page, flags=re.S)


def test_a_sweep_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(
        json.dumps({"jobs": [{"number": 0, "folder": "0-x", "overrides": ["seed=1"]}]})
    )
    page = sweep_page(rank(sweep(tmp_path)))
    check(page)
    assert "Nothing to choose from yet" in page and "1 not started" in page


def test_a_strangers_sweep(tmp_path: Path) -> None:
    page = sweep_page(rank(sweep(evil_sweep(tmp_path))))
    seen = check(page)
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in page
    assert "<" not in seen.scripts[0] and ">" not in seen.scripts[0]
    assert "\x1b" not in page


def test_a_strangers_run(tmp_path: Path) -> None:
    evil_sweep(tmp_path)
    for folder in sorted(tmp_path.glob("*-*")):
        (folder / "summary.txt").write_text(EVIL)
        check(run_page(job(folder), settings=EVIL, warnings=EVIL))


def test_no_two_curves_have_one_name(tmp_path: Path) -> None:
    ranking = rank(sweep(make_sweep(tmp_path / "s", {"neuron": ["x" * 100 + end for end in "abc"]}, seeds=1)))
    found = names(ranking)
    assert len(found) == len(set(found)) == 3 and found[1].endswith(" (2)")


def test_data_cannot_end_its_element() -> None:
    text = harmless_json({"a": "</script><!-- & \u2028"})
    assert text == '{"a":"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        harmless_json(float("nan"))


def test_the_libraries_are_those_of_the_note() -> None:
    folder = resources.files("snnrun.report.page") / "assets"
    note = (folder / "licences" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| .* \| `([0-9a-f]{64})` \|$", note, re.M)
    assert {name for name, _ in rows} == {name for name in SCRIPTS if ".min." in name}
    for name, sha in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha
    for name in re.findall(r"`(\w+\.(?:LICENSE|NOTICE))`", note):
        assert (folder / "licences" / name).read_text(encoding="utf-8")


def made(curve: tuple[float | None, ...], status: str = "finished") -> Job:
    return Job(0, Path("x"), status, (), 0, curves={"loss": curve})


def test_bands() -> None:
    jobs = [made((1.0, 2.0, 3.0)), made((3.0, 4.0)), made((9.0,), "failed")]
    found = bands(jobs, "loss")
    assert found == {"n": 2, "epoch": [1, 2], "mean": [2.0, 3.0], "sd": [1.4142, 1.4142]}
    assert bands(jobs[:1], "loss") == {"n": 1, "epoch": [1, 2, 3], "mean": [1.0, 2.0, 3.0], "sd": None}
    assert bands(jobs[2:], "loss") == {"n": 1, "epoch": [1], "mean": [9.0], "sd": None}, "none has finished"
    assert bands(jobs, "accuracy") is None
    assert bands([made((1.0, None, 3.0))], "loss") == {"n": 1, "epoch": [1, 3], "mean": [1.0, 3.0], "sd": None}


def test_long_curves_are_thinned() -> None:
    found = thin(1000)
    assert len(found) == 200 and found[0] == 0 and found[-1] == 999
    assert thin(3) == [0, 1, 2]
    assert [points(n) for n in (1, 30, 100, 5000)] == [200, 200, 60, 24]


def test_environments_are_compared() -> None:
    jobs = [
        Job(
            n,
            Path("x"),
            "finished",
            (),
            0,
            manifest={"cpu.model": "A", "threads": n // 2, "seed": n, "packages.torch": "2"},
        )
        for n in range(3)
    ]
    found = environment([*jobs, Job(3, Path("x"), "dead", (), 0)])
    assert found.told == 3
    assert found.common == (("torch", "2"), ("processor", "A"))
    assert found.differing == (("threads", (("0", "jobs 0, 1"), ("1", "job 2"))),)


def test_rasters(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    spikes = np.zeros((5, 3), np.uint8)
    spikes[2, 1] = spikes[4, 0] = 1
    current, membrane = np.zeros((5, 2), np.float32), np.zeros((5, 3), np.float32)
    arrays: dict[str, Any] = {"input": current, "out.spikes": spikes, "out.membrane": membrane}
    np.savez_compressed(tmp_path / "figures" / "raster.npz", **arrays)
    assert rasters(tmp_path) == [("out", 3, 3, 5, [[2, 1], [4, 0]])], "the input is a current"


def test_the_page_of_a_run_says_which_sample_and_has_its_classes(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "0-x", ["neuron=if", "seed=0"], 0.5)
    result = json.loads((folder / "result.json").read_text())
    classes = {"test_accuracy_by_class": {"cat": 0.5, EVIL: 1.0}, "test_confusion": [[2, 2], [0, 3]]}
    (folder / "result.json").write_text(json.dumps({**result, **classes}))
    (folder / "figures").mkdir()
    facts: dict[str, Any] = {"sample": np.int64(7), "label": np.int64(0), "prediction": np.int64(5)}
    facts["out.spikes"] = np.eye(9, dtype=np.uint8)
    np.savez_compressed(folder / "figures" / "raster.npz", **facts)
    page = run_page(job(folder), settings="", warnings="")
    check(page)
    assert sample_of(folder) == {"sample": 7, "label": 0, "prediction": 5}
    assert "sample 7 of the test part: class cat, prediction 5." in page
    np.savez_compressed(folder / "figures" / "raster.npz", tied=np.int64(3), **facts)
    assert "prediction 5 (a tie of 3 classes" in run_page(job(folder), settings="", warnings="")
    row = re.search(
        r"<tr><td class=\"text\">cat</td><td>4</td><td>50.0 %</td><td class=\"text\">(.*?) \(2\)</td></tr>", page
    )
    assert row is not None and "<" not in row[1]


@pytest.mark.parametrize("case", ["missing", "damaged", "cut", "objects", "huge", "numbers"])
def test_rasters_that_cannot_be_read(tmp_path: Path, case: str) -> None:
    (tmp_path / "figures").mkdir()
    path = tmp_path / "figures" / "raster.npz"
    if case != "missing":
        array: Any = np.zeros((200, 300_000 if case == "huge" else 50), np.uint8)
        array = {"objects": np.array([[{}]]), "numbers": np.uint8(3)}.get(case, array)
        np.savez_compressed(path, **{"out.spikes": array})
    if case == "damaged":
        data = bytearray(path.read_bytes())
        data[60:90] = bytes(30)
        path.write_bytes(data)
    if case == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    assert rasters(tmp_path) == []
    assert sample_of(tmp_path) == {}
