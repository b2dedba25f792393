"""Every kind of bad input: exit code 2, a message with the fix, no traceback, nothing on the disk."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from snnrun.config.catalogue import Catalogue
from snnrun.run import imports
from support.command import Command, Training

NEURONS = ", ".join(Catalogue().groups["neuron"])

# What is typed, and words that the message must have: the fault and its fix.
CASES: dict[str, tuple[str, list[str]]] = {
    "steps of a neuron": (
        "neuron=psn neuron.num_steps=10",
        ["neuron.num_steps: ", "num_steps of the run, 25", "got 10", "set num_steps instead"],
    ),
    "beyond float32": ("neuron.threshold=1e39", ["neuron.threshold: ", "at most 3.4e+38"]),
    "beyond int64": ("num_steps=9223372036854775808", ["num_steps: ", "whole number of at most 92233720368547"]),
    "beyond any float": (f"max_seconds={'9' * 400}", ["max_seconds: ", "whole number of at most"]),
    "beyond any float, of an input": (f"clip_grad_norm={'9' * 400}", ["clip_grad_norm: ", "whole number"]),
    "a device of 20 digits": ("device=cuda:99999999999999999999", ["device: ", "auto, cpu, mps, cuda, or cuda:N"]),
    "a device with zeros before it": ("device=cuda:0000000000000000", ["device: ", "auto, cpu, mps, cuda, or cuda:N"]),
    "a folder 2000 levels deep": (f"output_dir={'a/' * 2000}a", ["output_dir: ", "200 folders"]),
    "a long name": (f"output_dir={'b' * 256}", ["output_dir: ", "256 bytes, and 255 is the most"]),
    "a long path": (f"output_dir={'/'.join(['c' * 200] * 20)}", ["output_dir: ", "3500 bytes"]),
    "weights of nothing": ("loss.class_weights=[0,0,0,0,0,0,0,0,0,0]", ["expected at least one above 0"]),
    "unknown option": (
        "neuron=lff",
        ["neuron=lff: there is no neuron of that name", "neuron=lif?", NEURONS],
    ),
    "unknown key": ("epoch=3", ["no key epoch", "did you mean epochs?", "batch_size"]),
    "unknown group": ("nueron=lif", ["no key nueron", "did you mean neuron?"]),
    "unknown key of a part": ("model.hiden=[3]", ["did you mean model.hidden?", "there are hidden, bias"]),
    "unknown key of a setting": ("report.figure=false", ["did you mean report.figures?", "figures, summary"]),
    "key in the wrong place": ("lr=0.1", ["no key lr", "did you mean optimizer.lr?"]),
    "key below a value": ("neuron.threshold.x=1", ["neuron.threshold has no keys"]),
    "key of a reference": ("neuron.surrogate.alpha=3", ["reference to surrogate", "set surrogate.alpha instead"]),
    "unknown key added": ("+epoch=3", ["epoch: there is no such key", "did you mean epochs?"]),
    "unknown key of a part added": ("+neuron.foo=1", ["neuron.foo: there is no such key", "threshold"]),
    "unknown key of an encoder added": ("+encoder.foo=1", ["encoder.foo: there is no such key", "gain"]),
    "added though there": ("+seed=1", ["seed exists already; drop the +"]),
    "group added though there": ("+neuron=if", ["neuron is there already; drop the +"]),
    "wrong type": ("epochs=abc", ["epochs: ", "whole number of at least 1", "got 'abc'", "default is"]),
    "fraction": ("epochs=1.5", ["epochs: ", "whole number", "got 1.5"]),
    "nothing": ("epochs=", ["epochs: ", "whole number", "got ''"]),
    "not a flag": ("deterministic=1", ["deterministic: ", "true or false", "got 1"]),
    "unknown word": ("precision=fp16", ["precision: ", "'fp32' or 'bf16'", "got 'fp16'"]),
    "a number for a mapping": ("report=3", ["report: ", "figures, summary", "got 3"]),
    "text for torch": ("optimizer.lr=abc", ["optimizer.lr: ", "got 'abc'", "the default is 0.001"]),
    "flag for torch": ("optimizer.lr=true", ["optimizer.lr: ", "got true"]),
    "null for torch": ("optimizer.lr=null", ["optimizer.lr: ", "got null"]),
    "too small": ("num_steps=0", ["num_steps: ", "whole number of at least 1", "got 0"]),
    "too large": ("neuron.beta=1.5", ["neuron.beta: ", "at most 1", "got 1.5"]),
    "refused by torch": (
        "optimizer.lr=-1",
        ["optimizer.lr: ", "optimizer=adam", "got -1", "0.001"],
    ),
    "list too short for torch": ("optimizer.betas=[0.9]", ["optimizer.betas", "got [0.9]", "[0.9, 0.999]"]),
    "unchecked by torch": (
        "scheduler=cosine scheduler.T_max=-3",
        ["scheduler.T_max: ", "whole number", "got -3"],
    ),
    "of a group below zero": ("optimizer.groups.neuron.lr=-1", ["optimizer.groups.neuron.lr: ", "got -1"]),
    "of a group that the model lacks": (
        "optimizer.groups.recurrent.lr=1e-4",
        ["optimizer.groups.recurrent: ", "weights, readout"],
    ),
    "a warm-up of more steps than max_steps": (
        "scheduler=warmup_cosine scheduler.warmup_steps=9 max_steps=8",
        ["scheduler.warmup_steps: ", "at most 8", "got 9"],
    ),
    "below zero": ("scheduler=step scheduler.gamma=-1", ["scheduler.gamma: ", "got -1"]),
    "refused by a scheduler": ("scheduler=plateau scheduler.factor=2", ["scheduler.factor", "got 2", "default is 0.1"]),
    "two that exclude each other": ("neuron.beta=0.9 neuron.tau=3", ["neuron.beta: together with tau: "]),
    "reference to nothing": ("seed=${nope}", ["seed: Interpolation key 'nope' not found"]),
    "unknown launcher": ("hydra/launcher=foo", ["hydra/launcher=foo: ", "basic"]),
    "through a reference": ("convention.reset=foo", ["convention.reset: ", "'subtract'", "got 'foo'"]),
    "in a part of a part": ("surrogate.alpha=-1", ["surrogate.alpha: ", "above 0", "got -1"]),
    "NaN": ("optimizer.lr=nan", ["optimizer.lr: ", "finite number", "got nan"]),
    "infinity": ("neuron.threshold=inf", ["neuron.threshold: ", "finite number", "got inf"]),
    "element of a list": ("model.hidden=[5,0]", ["model.hidden[1]: ", "whole number of at least 1", "got 0"]),
    "no list": ("model.hidden=5", ["model.hidden: ", "a list", "got 5"]),
    "list of another length": ("neuron.threshold=[1,2]", ["neuron.threshold", "got a list of 2"]),
    "graphs on the CPU": ("device=cpu execution.cuda_graph=true", ["execution.cuda_graph: ", "other than cuda"]),
    "device": ("device=gpu", ["device: ", "auto, cpu, mps, cuda", "got 'gpu'"]),
    "delta of a still image": (
        "encoder=delta",
        ["does not take the input of task=digits", "encoder=burst or direct or"],
    ),
    "still encoder of a sequence": (
        "task=zeros encoder=latency",
        ["does not take the input of task=zeros", "encoder=", "none"],
    ),
    "labels for a regression": ("loss=mse", ["loss: loss=mse needs numbers as targets; task=digits has class labels"]),
    "one class weight too few": (
        "loss.class_weights=[1,2]",
        ["loss.class_weights: ", "each of the 10"],
    ),
    "a regulariser's argument": (
        "regulariser=rate_bounds loss.regularisers.rate_bounds.lower=0.5",
        ["loss.regularisers.rate_bounds.upper: ", "at least 0.5", "got 0.2"],
    ),
    "a delay longer than the sequence": (
        "delay=linear model.delay.maximum=25",
        ["model.delay.maximum: ", "less than the 25 steps of a sample", "got 25"],
    ),
    "a loss that leaves no step": (
        "loss.skip_steps=25",
        ["loss.skip_steps: ", "less than the 25 steps of a sample", "got 25"],
    ),
    "a loss of the membrane that leaves no step": (
        "loss=ce_membrane readout=li loss.skip_steps=30",
        ["loss.skip_steps: ", "less than the 25 steps of a sample", "got 30"],
    ),
    "a delay out of its range": (
        "delay=gaussian model.delay.initial=11",
        ["model.delay.initial: ", "at most 10", "got 11"],
    ),
    "recurrent delays without recurrent synapses": (
        "delay=linear model.delay.connections=both",
        ["model.delay.connections: ", "input", "got 'both'", "model=recurrent"],
    ),
    "recurrent delays in a fused execution": (
        "delay=linear model=recurrent model.delay.connections=recurrent backend=fused",
        ["backend: ", "recurrent delays need several", "got 'fused'"],
    ),
    "delays of a model without them": ("delay=linear model=convnet", ["model.delay: ", "no such key"]),
    "an argument of a part of an encoder": (
        "encoder=population encoder.code.gain=much",
        ["encoder.code.gain: ", "got 'much'"],
    ),
    "labels where there are none": ("task=zeros loss=ce_count", ["needs labels, and task=zeros has none"]),
    "null group": ("neuron=null", ["neuron=null: a run needs a neuron; there are " + NEURONS]),
    "deleted group": ("~neuron", ["a run needs a neuron; there are " + NEURONS]),
    "null value": ("neuron.threshold=null", ["neuron.threshold: ", "above 0", "got null"]),
    "several names": ("neuron=[if,lif]", ["neuron=[if,lif]: ", "one name"]),
    "no such experiment": ("experiment=foo", ["there is no experiment of that name; there are ", "zero_target"]),
    "no module": ("trust=[nowhere] neuron._target_=nowhere.LIF", ["neuron._target_: there is no module 'nowhere'"]),
    "no class": ("loss._target_=snnrun.loss.Nope", ["loss._target_: snnrun.loss has no Nope"]),
    "no partial": ("neuron._partial_=false", ["neuron._partial_: ", "true"]),
    "brackets": ("model.hidden=[1,2", ["model.hidden=[1,2: cannot be read", "brackets, commas and quotes"]),
    "text in brackets": ("model.bias_init=uniform{0,1}", ["two pairs of quotes: 'model.bias_init=\"uniform{0,1}\"'"]),
    "no draws in range": ("neuron.tau=uniform(-5,-1)", ["neuron.tau: ", "above 0", "got 'uniform(-5,-1)'"]),
    "no distribution": ("neuron.tau=uniform(5)", ["neuron.tau: ", "uniform(low,high)", "got 'uniform(5)'"]),
    "not ASCII": ("neuron=löwe", ["neuron=löwe: cannot be read"]),
    "no equals sign": ("epoch", ["epoch: ", "key=value", "did you mean epochs=...?"]),
    "no option": ("neuron", ["neuron: expected neuron=NAME; there are " + NEURONS]),
    "nearly list": ("lst", ["lst: ", "key=value", "`snnrun list`"]),
    "no key": ("=3", ["=3: ", "key=value", "no key"]),
    "given twice": ("seed=1 seed=2", ["seed is already set by seed=1"]),
    "sweep without -m": ("seed=1,2", ["seed=1,2: several values make a sweep, which needs -m\n"]),
    "interval": ("-m optimizer.lr=interval(0,1)", ["an interval needs a sweeper", "optimizer.lr=a,b"]),
    "endless sweep": ("-m seed=range(0,1000000000)", ["expected 1 to 100,000 values, got more"]),
    "-m twice": ("-m -m seed=1,2", ["-m: given more than once"]),
    "unknown flag": ("--multrun seed=1", ["--multrun: there is no such flag", "did you mean --multirun?"]),
    "flag with a value": ("--debug=1", ["--debug takes no value"]),
    "--cfg of what": ("--cfg jobs", ["--cfg: ", "job, hydra or all", "got 'jobs'"]),
    "--cfg of a sweep": ("--cfg job -m", ["drop -m"]),
    "--cfg with a fault": ("--cfg job neuron=iff", ["neuron=iff", "did you mean neuron=if?"]),
    "--resolve alone": ("--resolve", ["--resolve: only goes with --cfg"]),
    "no config folder": ("--config-dir nowhere", ["--config-dir: ", "got 'nowhere'"]),
    "output below a file": (f"output_dir={__file__}/x", ["output_dir: ", "is a file"]),
    "unknown key of Hydra": ("hydra.run.foo=1", ["hydra.run.foo"]),
    "sweep with a bad option": ("-m neuron=if,lff seed=0,1", ["neuron=lff: there is no neuron", "neuron=lif?"]),
    "sweep with a bad value": ("-m epochs=1,2,0", ["epochs: ", "whole number of at least 1", "got 0"]),
    "sweep with a key of one choice": ("-m neuron=lif,if neuron.beta=0.5", ["no key neuron.beta", "(with neuron=if)"]),
    "large sweep": (
        "-m seed=range(0,8) batch_size=1,2,0",
        ["batch_size: ", "whole number of at least 1", "got 0"],
    ),
}


@pytest.mark.parametrize(("words", "expected"), CASES.values(), ids=CASES.keys())
def test_a_fault_is_shown_with_its_fix(words: str, expected: list[str], command: Command, training: Training) -> None:
    outcome = command(*words.split())
    assert outcome.code == 2, outcome.err
    for part in expected:
        assert part in outcome.err
    assert "1 fault in the command; nothing was started" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert training.calls == []
    assert list(Path.cwd().iterdir()) == []


OWN_CASES = {
    "broken": ["broken.yaml, line 3", "mend the file"],
    "empty": ["empty.yaml, got an empty file"],
    "list": ["list.yaml, got a list"],
    "typo": ["neuron._target_: snnrun.neuron has no LIFF"],
    "lost": ["neuron.beta", "no.such.key"],
    "mien": ["did you mean neuron=mine?", "lif_refractory, list, lost, lsnn"],
}


@pytest.mark.parametrize(("name", "expected"), OWN_CASES.items(), ids=OWN_CASES.keys())
def test_a_fault_in_a_file_of_ones_own_is_shown(name: str, expected: list[str], command: Command, own: Path) -> None:
    outcome = command("--config-dir", str(own), f"neuron={name}")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    for part in expected:
        assert part in outcome.err
    assert list(Path.cwd().iterdir()) == []


def test_all_faults_come_in_one_message(command: Command, own: Path) -> None:
    words = "neuron=broken --mulrun epoch=3 epochs=abc num_steps=0 neuron.beta=2 neuron.threshold=-1 optimizer.lr=-1 a["
    outcome = command("--config-dir", str(own), *words.split(), "encoder=delta", "surrogate.alpha=0")
    assert outcome.code == 2
    assert "11 faults in the command" in outcome.err
    starts = "--mulrun neuron=broken epoch=3 a[ epochs num_steps neuron.beta neuron.threshold optimizer.lr encoder"
    for start in [*starts.split(), "surrogate.alpha"]:
        assert f"\n  {start}: " in outcome.err, start


def test_a_part_of_ones_own_is_checked_like_ours(command: Command, own: Path) -> None:
    outcome = command(
        "--config-dir", str(own), "neuron=mine", "neuron.gain=-1", "neuron.gian=3", "trust=my_neuron_of_tests"
    )
    for fact in ("neuron.gain: ", "above 0", "got -1", "default is 2.0"):
        assert fact in outcome.err
    assert "did you mean neuron.gain?" in outcome.err
    assert outcome.code == 2


def test_a_file_that_would_be_hidden_is_a_fault(command: Command, own: Path) -> None:
    (own / "neuron" / "lif.yaml").write_text("_target_: my_neuron_of_tests.Mine\n")
    outcome = command("--config-dir", str(own))
    assert outcome.code == 2
    assert "neuron/lif.yaml would be hidden" in outcome.err


def test_a_group_of_ones_own_is_added_with_a_plus(command: Command, own: Path, training: Training) -> None:
    (own / "lab").mkdir()
    (own / "lab" / "ours.yaml").write_text("leak: 0.7\n")
    outcome = command("--config-dir", str(own), "lab=ours")
    assert outcome.code == 2
    assert "write +lab=ours" in outcome.err
    assert command("--config-dir", str(own), "+lab=ours", "neuron.beta=${lab.leak}").code == 0
    assert training.calls[0]["config"]["neuron"]["beta"] == 0.7


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_where_there_is_none(device: str, command: Command) -> None:
    outcome = command(f"device={device}")
    assert outcome.code == 2
    assert f"got '{device}'" in outcome.err and "use device=cpu" in outcome.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(command: Command) -> None:
    Path("closed").mkdir(mode=0o500)
    outcome = command("output_dir=closed/runs")
    assert outcome.code == 2
    assert "cannot be written to" in outcome.err


def test_a_folder_too_deep_for_hydra_is_no_bug(command: Command, training: Training) -> None:
    code, _, err = command(f"hydra.run.dir={'a/' * 2000}a")
    assert (code, training.calls) == (6, [])
    assert "bug" not in err


@pytest.mark.parametrize("shape", [(60, 3), (60, 1), (60,)])
def test_a_loss_that_takes_no_values_is_refused(shape: tuple[int, ...], command: Command, training: Training) -> None:
    np.savez("own.npz", inputs=np.zeros((60, 2), np.float32), targets=np.zeros(shape, np.float32))
    words = ("task=arrays", "data_dir=.", "task.path=own.npz", "task.regress=true", "encoder=direct")
    code, _, err = command(*words, "loss=mean_square")
    assert (code, training.calls) == (2, []) and "loss=mse" in err
    assert command(*words, "loss=mse").code == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
    ],
)
def test_too_little_memory_to_begin(
    error: Exception, command: Command, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> None:
        raise error

    monkeypatch.setattr(imports, "load", load)
    code, _, err = command("seed=1")
    assert code == 5 and "out of memory" in err and "bug" not in err


def test_nowhere_for_temporary_files(command: Command, training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    code, _, err = command("seed=1")
    assert (code, training.calls) == (6, []) and "TMPDIR" in err and "bug" not in err


def test_checking_leaves_the_random_streams_alone(command: Command) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    command("num_steps=0")
    assert torch.equal(torch.get_rng_state(), before)


HEAVY = {
    "nested too deeply": "gain: " + "[" * 200_000,
    "aliases that stand for too much": "a: &a [1]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(20)),
}


@pytest.mark.parametrize("problem", HEAVY)
def test_a_file_that_would_crash_its_reader(command: Command, own: Path, problem: str) -> None:
    (own / "neuron" / "heavy.yaml").write_text(HEAVY[problem])
    code, _, err = command("--config-dir", str(own), "neuron=heavy")
    assert code == 2
    assert f": {problem}; mend the file" in err
    outcome = command("--config-dir", str(own), "list", "neuron")
    assert outcome.code == 0
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("  heavy")]
    assert "(cannot be read: " in line


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        ("defaults:\n  - override /encoder: null\n", ("encoder: ", "got nothing", "there are burst, ")),
        ("encoder: null\n", ("encoder: ", "got nothing", "there are burst, ")),
        ("neuron: text\n", ("neuron: ", "got 'text'", "there are adaptive_threshold, ")),
    ],
    ids=["no choice", "null", "text"],
)
def test_a_set_up_that_takes_a_part_away(command: Command, own: Path, lines: str, facts: tuple[str, ...]) -> None:
    (own / "experiment" / "lost.yaml").write_text(f"# @package _global_\n{lines}")
    code, _, err = command("--config-dir", str(own), "experiment=lost")
    assert code == 2
    for fact in facts:
        assert fact in err


def test_many_faults_are_cut_short(command: Command) -> None:
    err = command(*(f"key{number}=1" for number in range(100))).err
    assert err.startswith("snnrun: 100 faults in the command")
    assert "\n  ... and 80 more\n" in err
    assert len(err.splitlines()) == 23


def test_words_that_steer_a_terminal_are_shown_without_that(command: Command) -> None:
    err = command("epochs=\x1b[31mred\u202e", "x" * 5000 + "=1").err
    assert all(line.isprintable() for line in err.split("\n"))
    assert max(map(len, err.splitlines())) < 1500


def test_a_config_dir_that_is_not_there_is_the_only_fault(command: Command) -> None:
    code, _, err = command("--config-dir", "nodir", "neuron=mine", "epochs=0")
    assert code == 2 and err.splitlines()[0].startswith("snnrun: 1 fault") and "nodir" in err


def test_a_key_that_a_part_of_ones_own_has_twice(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "parts" / "neuron"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("_target_: snnrun.neuron.LIF\n_partial_: true\nbeta: 0.5\nbeta: 0.9\n")
    code, _, err = command("--config-dir", str(folder.parent), "neuron=mine")
    assert code == 2 and "neuron/mine.yaml: beta: " in err and "line 3" in err and "line 4" in err


def test_a_long_list_of_names_shows_whole_names_only(command: Command) -> None:
    names = [*Catalogue().groups["surrogate"]]
    _, _, err = command("plot", "surrogate=atn")
    line = next(line for line in err.splitlines() if "surrogate=atn" in line)
    words = line.partition("there are ")[2].replace(" ... ", " ").replace(",", "").split()
    assert len(words) > 5 and set(words) <= {*names, "..."}


def test_the_names_after_a_mistyped_key_include_parts_that_may_be_left_out(command: Command) -> None:
    _, _, err = command("epoch=1")
    assert all(f" {name}" in err for name in ("augmentation", "readout", "regulariser", "tracker", "experiment"))
