"""The tutorials are whole, and the script that runs them compares what is printed as it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support.paths import DOCS
from support.tutorials import EVERY, PAGES, script


@EVERY
def test_every_block_of_a_page_is_a_file_or_is_run(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    page_blocks = script.blocks(page)
    assert 2 * len(page_blocks) == sum(line.startswith("```") for line in page.splitlines())
    assert any(block.language == "sh" for block in page_blocks)
    for before, block in zip([None, *page_blocks], page_blocks, strict=False):
        if block.name:
            assert not Path(block.name).is_absolute() and ".." not in Path(block.name).parts
            if block.language == "python":
                compile(block.text, block.name, "exec")
            elif block.language == "yaml":
                assert yaml.safe_load(block.text)
        elif block.language == "text":
            assert before and before.language == "sh", "output without its command"
        else:
            assert block.language == "sh", f"a block without a file's name: {block.text[:60]}"


@EVERY
def test_a_page_has_a_beginning_an_end_and_a_place_in_the_index(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page.startswith("# ")
    assert "\n## Next\n" in page
    assert f"]({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")


def test_every_figure_is_of_a_page_and_small() -> None:
    figures = {DOCS / "tutorials" / name for path in PAGES for name in script.figures(path.read_text(encoding="utf-8"))}
    images = set((DOCS / "tutorials" / "images").glob("*"))
    assert images <= figures
    assert all(path.stat().st_size < 100_000 for path in images)


def same_form(text: str, output: str) -> bool:
    return script.difference(text, output) is None


def test_output_is_held_against_the_page() -> None:
    real = (
        "MLP with 7,510 parameters\nepoch 1/5  loss 2.221  36.9 %   4 samples/s\n\ntest 98.33 % (of epoch 18, best)\n"
    )
    assert same_form(real, real)
    other = "MLP with 7,510 parameters\nepoch 1/5  loss  12.1  7.0 % 1,234 samples/s\ntest 9.10 % (of epoch 5, best)\n"
    assert same_form(other, real), "numbers that differ from machine to machine"
    assert same_form("…\ntest 1.0 % (of epoch 2, best)\n", real), "lines are left out"
    assert same_form("MLP with … parameters\n…\n", real), "text is left out"
    assert not same_form(real.replace("7,510", "7,511"), real), "a whole number"
    assert not same_form(real.replace("loss", "lost"), real), "a word"
    assert not same_form("MLP with 7,510 parameters\n", real), "there is more"
    assert not same_form(real + "done\n", real), "there is less"
    assert not same_form("…\ntest 98.33 % (of epoch 18, best)\nMLP with …\n", real), "another order"


def test_times_tokens_and_folders_are_compared_by_form() -> None:
    text = "6.7 s  ~/snn/outputs/2026-03-01/12-00-00-lif-5d3a9e01\nfinished  26 s\n"
    assert same_form(text, "14 s  ~/snn/outputs/2027-10-11/23-59-59-lif-0123abcd\nfinished  2 min\n")
    assert not same_form(text, "6.7 s  ~/snn/outputs/2026-03-01/12-00-00-if-5d3a9e01\nfinished  26 s\n")


def test_files_commands_and_exit_codes(tmp_path: Path) -> None:
    shell = "cat a/b.txt\nexit 3   # exit code 3\nfalse   # needs nosuchpackage"
    page = f"`a/b.txt`:\n\n```text\nhere\n```\n\n```sh\n{shell}\n```\n"
    (block,) = script.run(page, tmp_path)
    assert block.printed == "here\n"
    for wrong in ("exit 3", "true   # exit code 3"):
        with pytest.raises(script.Missed, match="expected exit code"):
            list(script.run(f"```sh\n{wrong}\n```\n", tmp_path))


def test_a_command_without_its_data_is_left_out_and_so_is_its_figure(tmp_path: Path) -> None:
    line = "echo hydra.run.dir=outputs/a   # needs data/spoken"
    page = f"```sh\n{line}\ntrue\n```\n\n```text\nother\n```\n"
    (block,) = script.run(page, tmp_path)
    assert (block.printed, block.shown, block.left_out) == ("", None, (line,))
    assert not script.drawn("outputs/a/figures/raster.png", block.left_out)
    assert script.drawn("outputs/ab/figures/raster.png", block.left_out)
    (tmp_path / "data" / "spoken").mkdir(parents=True)
    (block,) = script.run(page, tmp_path)
    assert (block.printed, block.shown, block.left_out) == ("hydra.run.dir=outputs/a\n", "other\n", ())
