"""The page in a browser: opened from disk without a network, sorted, filtered, a curve toggled, in light and dark.

Needs Chromium on the path (or the variable CHROMIUM) and playwright; without a browser the tests are skipped, but not
where SNNRUN_CI is set.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnrun.sweep.page.gather import job, sweep
from snnrun.sweep.page.ranking import rank
from snnrun.sweep.page.run import run_page
from snnrun.sweep.page.sweep import sweep_page
from support.swept import evil_sweep, make_job, make_sweep

if "SNNRUN_CI" not in os.environ:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `test`)")
from playwright.sync_api import expect, sync_playwright

PATIENCE = 120_000  # milliseconds, for a machine that is busy
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None and "SNNRUN_CI" not in os.environ:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path, and CHROMIUM is not set")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        # No sandbox: root, as in a container, cannot have one.
        chromium = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page from disk; at the end nothing may have been said on the console, thrown, or asked of the network."""
    messages: list[str] = []
    contexts = []

    def open_text(text: str, *, scheme: str = "light", width: int = 1280) -> Any:
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: messages.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_text
    for context in contexts:
        context.close()
    assert messages == []


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of 2 x 3 configurations with two seeds, one job of which failed."""
    folder = make_sweep(
        tmp_path_factory.mktemp("s") / "s",
        {"neuron": ["if", "lif"], "surrogate": ["atan", "sigmoid", "gaussian"]},
        seeds=2,
    )
    make_job(
        folder / "12-bad", ["neuron=lif", "surrogate=atan", "seed=9", "epochs=3"], 0.4, status="failed", error="nan"
    )
    return sweep_page(rank(sweep(folder)))


def column(page: Any, name: str) -> list[str]:
    heads = [head.split("\n")[0].strip() for head in page.locator("#jobs-table thead th").all_inner_texts()]
    cells = page.locator(f"#jobs-table tbody tr td:nth-child({heads.index(name) + 1})")
    texts: list[str] = cells.all_inner_texts()
    return texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_opens_from_disk(open_page: Open, text: str, scheme: str, width: int) -> None:
    page = open_page(text, scheme=scheme, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("curves", "cost", "heat", "parallel"):
        assert page.locator(f"#chart-{name} svg path").count() > 4, name
        assert page.locator(f"#chart-{name}").get_attribute("aria-label"), name
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    page.emulate_media(color_scheme={"light": "dark", "dark": "light"}[scheme])
    other = {"light": "rgb(20, 23, 26)", "dark": "rgb(255, 255, 255)"}[scheme]
    expect(page.locator("body")).to_have_css("background-color", other)
    assert page.locator("#chart-curves svg").count() == 1, "drawn again, and not twice"


def test_the_table_is_sorted(open_page: Open, text: str) -> None:
    page = open_page(text)
    assert column(page, "job") == [str(n) for n in range(13)]
    head = page.locator("#jobs-table thead th", has_text="validation accuracy")
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    figures = [float(cell.removesuffix(" %")) for cell in column(page, "validation accuracy")]
    assert figures == sorted(figures)
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    down = [float(cell.removesuffix(" %")) for cell in column(page, "validation accuracy")]
    assert down == figures[::-1]


def test_the_table_is_filtered(open_page: Open, text: str) -> None:
    page = open_page(text)
    page.get_by_label("neuron", exact=True).select_option("if")
    assert set(column(page, "neuron")) == {"if"} and len(column(page, "job")) == 6, "and not lif"
    page.get_by_label("surrogate", exact=True).select_option("atan")
    assert column(page, "job") == ["0", "1"]
    assert "2 jobs of 13" in page.locator(".dt-info").inner_text()
    for key in ("neuron", "surrogate"):
        page.get_by_label(key, exact=True).select_option(label="all")
    page.get_by_label("Status", exact=True).select_option("failed")
    assert column(page, "job") == ["12"]
    page.get_by_label("Status", exact=True).select_option(label="all")
    page.get_by_label("Filter", exact=True).fill("gaussian")
    assert set(column(page, "surrogate")) == {"gaussian"}


def test_a_curve_is_toggled(open_page: Open, text: str) -> None:
    page = open_page(text)
    lines = page.locator('#chart-curves svg path[stroke-width="2"][fill="none"]')
    button = page.locator("#legend button").first
    assert (lines.count(), button.inner_text(), button.get_attribute("aria-pressed")) == (6, "lif · gaussian", "true")
    button.click()
    assert (lines.count(), button.get_attribute("aria-pressed")) == (5, "false")
    button.focus()
    page.keyboard.press("Space")
    assert (lines.count(), button.get_attribute("aria-pressed")) == (6, "true")
    page.get_by_role("button", name="training loss").click()
    assert page.locator("#chart-curves svg", has_text="training loss").count() == 1


def test_other_costs_and_other_keys(open_page: Open, text: str) -> None:
    page = open_page(text)
    page.get_by_role("button", name="seconds for the run").click()
    assert page.locator("#chart-cost svg", has_text="seconds for the run").count() == 1
    page.get_by_label("Rows").select_option("surrogate")
    assert page.get_by_label("Columns").input_value() == "neuron"


def test_the_command_is_copied(open_page: Open, text: str) -> None:
    page = open_page(text)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-copy]")).not_to_have_text("Copy")
    clipboard = page.evaluate("navigator.clipboard.readText().catch(() => String(getSelection()))")
    assert clipboard == "snnrun -m neuron=lif surrogate=gaussian epochs=3 seed=0,1"


def test_what_is_printed(open_page: Open, text: str) -> None:
    page = open_page(text, scheme="dark")
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#filters").is_visible()
    assert page.locator("#jobs-table tbody tr").count() == 13


def test_a_stranger_runs_nothing(open_page: Open, tmp_path: Path) -> None:
    page = open_page(sweep_page(rank(sweep(evil_sweep(tmp_path / "evil")))))
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        for step in range(1, 12):  # whatever a tooltip says
            page.mouse.move(box["x"] + box["width"] * step / 12, box["y"] + box["height"] * (1 + step % 5) / 6)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, main script").count() == 0
    assert "<script>window.pwned=1</script>" in page.locator("#ranking").inner_text()


@pytest.mark.parametrize("measure", ["loss", "r2"])
def test_a_sweep_without_accuracy(open_page: Open, tmp_path: Path, measure: str) -> None:
    folder = make_sweep(tmp_path / "s", {"neuron": ["if", "lif"]}, seeds=1, measure=measure)
    page = open_page(sweep_page(rank(sweep(folder))))
    assert page.locator("#chart-curves svg path").count() > 4
    assert page.locator("#heat").count() == 0, "one key makes no map"
    assert "one seed" in page.locator(".verdict").inner_text()


def test_nothing_has_run_yet(open_page: Open, tmp_path: Path) -> None:
    sweep_list = {"jobs": [{"number": n, "folder": f"{n}-x", "overrides": [f"a={n}", f"b={n}"]} for n in range(2)]}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep_list))
    page = open_page(sweep_page(rank(sweep(tmp_path))))
    assert column(page, "status") == ["not started", "not started"]
    for name in ("curves", "cost", "settings"):
        assert not page.locator(f"#section-{name}").is_visible()


def test_two_hundred_jobs(open_page: Open, tmp_path: Path) -> None:
    keys = {"optimizer.lr": [f"{n / 1000}" for n in range(1, 26)], "neuron": ["if", "lif"]}
    page = open_page(sweep_page(rank(sweep(make_sweep(tmp_path / "s", keys)))))
    assert len(column(page, "job")) == 200
    rows = page.locator("#ranking tbody tr:visible")
    assert rows.count() == 12
    page.get_by_role("button", name="Show all 50").click()
    assert rows.count() == 50
    assert page.locator('#legend button[aria-pressed="true"]').count() == 6


def test_a_run(open_page: Open, tmp_path: Path) -> None:
    folder = make_job(tmp_path / "0-x", ["neuron=if", "seed=0"], 0.5)
    (folder / "figures").mkdir()
    arrays: dict[str, Any] = {"hidden1.spikes": np.eye(9, dtype=np.uint8)}
    np.savez_compressed(folder / "figures" / "raster.npz", **arrays)
    for width in (360, 1280):
        page = open_page(run_page(job(folder), settings="neuron=if", warnings=""), width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#chart-raster svg path").count() >= 9
        page.get_by_role("button", name="firing rate").click()
        assert page.locator("#legend button").all_inner_texts() == ["hidden1", "output"]
        assert page.locator("h2").first.inner_text() == "Result"
