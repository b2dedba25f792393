"""A config whose values are set beside composing is the config that Hydra composes."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from snnrun.config.catalogue import Catalogue
from snnrun.job.compose import ComposeError, composer


@pytest.mark.parametrize(
    "words",
    [
        ("neuron=if", "surrogate=atan", "epochs=3"),
        ("seed=1",),
        ("seed=1", "seed=2"),
        ("model.hidden=[1,2]", "experiment=zero_target", "epochs=1", "neuron=if"),
        ("hydra.run.dir=x", "epochs=2", "hydra.verbose=true"),
        ("neuron=if", "neuron.threshold=0.5", "optimizer.lr=1e-3"),
        ("name='x y, z'",),
        ("tracker=[csv]", "epochs=2"),
        ("augmentation=[crop,affine]", "seed=3"),
        ("style.format=[png,pdf]", "hydra.job.config.override_dirname.kv_sep=-"),
        ("loss.regularisers={}", "data_dir=${output_dir}"),
        # Left to Hydra:
        ("+neuron.x=1", "epochs=2"),
        ("~data_dir", "epochs=2"),
        ("model={hidden:[3]}", "epochs=4"),
        ("model.hidden=[1]", "model={hidden:[3]}"),
        ("model={hidden:[3]}", "model.hidden=[1]"),
        ("epochs={a:1}",),
    ],
)
def test_values_are_set_as_hydra_sets_them(words: tuple[str, ...]) -> None:
    with composer(Catalogue()) as hydra:
        ours, hydras = hydra.whole(words), hydra._compose(words)
    assert OmegaConf.to_yaml(ours) == OmegaConf.to_yaml(hydras)
    assert OmegaConf.to_container(ours, resolve=False) == OmegaConf.to_container(hydras, resolve=False)


@pytest.mark.parametrize("words", [("lr=1", "epochs=2"), ("neuron.nothing=2",), ("name=a=b",), ("task.x=1", "seed=1")])
def test_what_hydra_refuses_is_refused_with_its_reason(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with composer(Catalogue()) as hydra:
        with pytest.raises(ComposeError) as ours:
            hydra.whole(words)
        monkeypatch.setattr(hydra, "_set_values", lambda words: None)
        with pytest.raises(ComposeError) as hydras:
            hydra.whole(words)
    assert str(ours.value) == str(hydras.value)
