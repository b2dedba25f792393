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

from snnrun.report.raster import thin
from snnrun.sweep.page.curves import MOST_POINTS, bands, points
from snnrun.sweep.page.environment import environment
from snnrun.sweep.page.gather import JobSummary, job, sweep
from snnrun.sweep.page.html import SCRIPTS, asset, harmless_json, policy
from snnrun.sweep.page.ranking import rank
from snnrun.sweep.page.raster import picture, rasters, sample_of
from snnrun.sweep.page.run import run_page
from snnrun.sweep.page.sweep import names, sweep_page
from support.swept import EVIL, evil_sweep, make_job, make_sweep

LARGEST = 2_000_000  # bytes of a page
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "a", "main", "header", "section", "footer", "script"),
    *("p", "h1", "h2", "h3", "small", "span", "div", "b", "code", "pre", "em", "dl", "dt", "dd"),
    *("button", "label", "select", "option", "details", "summary", "figure", "figcaption"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "line", "circle", "rect"),
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
    elements = Elements(page)
    assert {name for name, _ in elements.found} <= ELEMENTS
    for name, attributes in elements.found:
        assert not any(key.startswith("on") for key in attributes), attributes
        assert "src" not in attributes and str(attributes.get("href", "#")).startswith("#"), (name, attributes)
    data, *scripts = elements.scripts
    assert scripts == [asset(name) for name in SCRIPTS]
    json.loads(data)
    metas = [attributes for name, attributes in elements.found if name == "meta"]
    (content,) = [str(meta["content"]) for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert content == policy(scripts) and content.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in content.partition("style-src")[0]
    assert len(page.encode()) < LARGEST
    return elements


def test_the_page_of_a_sweep(tmp_path: Path) -> None:
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
    assert page.count('<circle cx="') == 4, "an interval's picture for each configuration with a result"


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
    elements = check(page)
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in page
    assert "<" not in elements.scripts[0] and ">" not in elements.scripts[0]
    assert "\x1b" not in page


def test_a_strangers_run(tmp_path: Path) -> None:
    evil_sweep(tmp_path)
    for folder in sorted(tmp_path.glob("*-*")):
        (folder / "summary.txt").write_text(EVIL)
        check(run_page(job(folder), settings=EVIL, warnings=EVIL))


def test_no_two_curves_have_one_name(tmp_path: Path) -> None:
    ranking = rank(sweep(make_sweep(tmp_path / "s", {"neuron": ["x" * 100 + end for end in "abc"]}, seeds=1)))
    curve_names = names(ranking)
    assert len(curve_names) == len(set(curve_names)) == 3 and curve_names[1].endswith(" (2)")


def test_data_cannot_end_its_element() -> None:
    text = harmless_json({"a": "</script><!-- & \u2028"})
    assert text == '{"a":"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        harmless_json(float("nan"))


def test_the_libraries_are_those_of_the_note() -> None:
    folder = resources.files("snnrun.sweep.page") / "assets"
    note = (folder / "licences" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| .* \| `([0-9a-f]{64})` \|$", note, re.M)
    assert {name for name, _ in rows} == {name for name in SCRIPTS if ".min." in name}
    for name, sha in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha
    for name in re.findall(r"`(\w+\.(?:LICENSE|NOTICE))`", note):
        assert (folder / "licences" / name).read_text(encoding="utf-8")


def job_with(curve: tuple[float | None, ...], status: str = "finished") -> JobSummary:
    return JobSummary(0, Path("x"), status, (), 0, curves={"loss": curve})


def test_bands() -> None:
    jobs = [job_with((1.0, 2.0, 3.0)), job_with((3.0, 4.0)), job_with((9.0,), "failed")]
    band = bands(jobs, "loss")
    assert band == {"n": 2, "epoch": [1, 2], "mean": [2.0, 3.0], "sd": [1.4142, 1.4142]}
    assert bands(jobs[:1], "loss") == {"n": 1, "epoch": [1, 2, 3], "mean": [1.0, 2.0, 3.0], "sd": None}
    assert bands(jobs[2:], "loss") == {"n": 1, "epoch": [1], "mean": [9.0], "sd": None}, "none has finished"
    assert bands(jobs, "accuracy") is None
    assert bands([job_with((1.0, None, 3.0))], "loss") == {"n": 1, "epoch": [1, 3], "mean": [1.0, 3.0], "sd": None}


def test_long_curves_are_thinned() -> None:
    indices = thin(1000, MOST_POINTS).tolist()
    assert len(indices) == 200 and indices[0] == 0 and indices[-1] == 999
    assert thin(3, MOST_POINTS).tolist() == [0, 1, 2]
    assert [points(n) for n in (1, 30, 100, 5000)] == [200, 200, 60, 24]


def test_environments_are_compared() -> None:
    jobs = [
        JobSummary(
            n,
            Path("x"),
            "finished",
            (),
            0,
            manifest={"cpu.model": "A", "threads": n // 2, "seed": n, "packages.torch": "2"},
        )
        for n in range(3)
    ]
    comparison = environment([*jobs, JobSummary(3, Path("x"), "dead", (), 0)])
    assert comparison.runs == 3
    assert comparison.common == (("torch", "2"), ("processor", "A"))
    assert comparison.differing == (("threads", (("0", "jobs 0, 1"), ("1", "job 2"))),)


def test_rasters(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    spikes = np.zeros((5, 3), np.uint8)
    spikes[2, 1] = spikes[4, 0] = 1
    current, membrane = np.zeros((5, 2), np.float32), np.zeros((5, 3), np.float32)
    arrays: dict[str, Any] = {"input": current, "out.spikes": spikes, "out.membrane": membrane}
    np.savez_compressed(tmp_path / "figures" / "raster.npz", **arrays)
    assert rasters(tmp_path) == [("out", 3, 3, 5, [[2, 1], [4, 0]])], "the input is a current"


def test_the_page_of_a_run_names_the_sample_and_its_classes(tmp_path: Path) -> None:
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
    assert "sample 7 of the test set: class cat, prediction 5." in page
    np.savez_compressed(folder / "figures" / "raster.npz", tied=np.int64(3), **facts)
    assert "prediction 5 (a tie of 3 classes" in run_page(job(folder), settings="", warnings="")
    row = re.search(
        r"<tr><td class=\"text\">cat</td><td>4</td><td>50.0 %</td><td class=\"text\">(.*?) \(2\)</td></tr>", page
    )
    assert row is not None and "<" not in row[1]


def with_classes(folder: Path, names: list[str], counts: list[list[int]]) -> Path:
    result = json.loads((folder / "result.json").read_text())
    classes = {"test_accuracy_by_class": dict.fromkeys(names, 0.5), "test_confusion": counts}
    (folder / "result.json").write_text(json.dumps({**result, **classes}))
    return folder


def test_the_confusion_matrix_is_a_table_shaded_by_the_share_of_the_row(tmp_path: Path) -> None:
    folder = with_classes(make_job(tmp_path / "0-x", ["seed=0"], 0.5), ["cat", EVIL], [[3, 1], [0, 1200]])
    page = run_page(job(folder), settings="", warnings="")
    check(page)
    table = page.partition('<table class="matrix')[2].partition("</table>")[0]
    cells = re.findall(r"<td(?: style=\"--shade: (\d+)%\")?>(.*?)</td>", table)
    assert cells == [("38", "3"), ("12", "1"), ("", ""), ("50", "1,200")]
    assert table.count('scope="row"') == table.count("<span>") == 2


@pytest.mark.parametrize(("size", "has_matrix"), [(40, True), (41, False)])
def test_a_matrix_of_too_many_classes_is_left_out(tmp_path: Path, size: int, has_matrix: bool) -> None:
    names, counts = [str(i) for i in range(size)], np.eye(size, dtype=int).tolist()
    folder = with_classes(make_job(tmp_path / "0-x", ["seed=0"], 0.5), names, counts)
    assert ('<table class="matrix' in run_page(job(folder), settings="", warnings="")) is has_matrix


@pytest.mark.parametrize("counts", [[[1, 2]], [[1, 2], [3, -1]], [[1, 2], [3, "4"]], "1234", None])
def test_a_matrix_that_is_none(tmp_path: Path, counts: Any) -> None:
    folder = with_classes(make_job(tmp_path / "0-x", ["seed=0"], 0.5), ["a", "b"], counts)
    page = run_page(job(folder), settings="", warnings="")
    check(page)
    assert '<table class="matrix' not in page


def save_image(folder: Path, image: Any) -> None:
    (folder / "figures").mkdir(exist_ok=True)
    np.savez_compressed(folder / "figures" / "raster.npz", image=image, sample=np.int64(3))


def test_the_picture_of_the_sample_is_drawn_from_the_record(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "0-x", ["seed=0"], 0.5)
    save_image(folder, np.array([[[0, 255, 255], [16, 0, 0]]], np.uint8))
    assert picture(folder) == (3, 2, ((1, 0, 2, "#ffffff"), (0, 1, 1, "#101010")), (3, 2))
    page = run_page(job(folder), settings="", warnings="")
    check(page)
    assert 'viewBox="0 0 3 2"' in page and '<rect x="1" y="0" width="2" height="1" fill="#ffffff"/>' in page
    save_image(folder, np.array([[[1]], [[2]], [[255]]], np.uint8))
    image = picture(folder)
    assert image is not None and image.blocks == ((0, 0, 1, "#0102ff"),)


def test_a_large_picture_is_thinned(tmp_path: Path) -> None:
    save_image(tmp_path, np.random.default_rng(0).integers(0, 256, (3, 200, 100), dtype=np.uint8))
    image = picture(tmp_path)
    assert image is not None and (image.width, image.height, image.of) == (64, 64, (100, 200))
    assert len(image.blocks) <= 64 * 64


@pytest.mark.parametrize(
    "image",
    [
        np.ones((2, 3, 3), np.uint8),
        np.ones((3, 3), np.uint8),
        np.ones((1, 3, 3)),
        np.ones((1, 0, 3), np.uint8),
        np.ones((1, 3, 3), np.int64),
    ],
)
def test_what_is_no_picture(tmp_path: Path, image: Any) -> None:
    save_image(tmp_path, image)
    assert picture(tmp_path) is None


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
    assert picture(tmp_path) is None
