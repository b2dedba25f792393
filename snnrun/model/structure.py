"""The layers of a model, whatever its class, and the form of their inputs."""

from __future__ import annotations

from torch import Tensor, nn

from snnrun.model.delays import Delays
from snnrun.neuron import Neuron
from snnrun.surrogate import Surrogate


def neurons(model: nn.Module) -> dict[str, Neuron]:
    """The neurons of each layer of a model, by the layer's name."""
    layers = ((path.split("."), module) for path, module in model.named_modules() if isinstance(module, Neuron))
    return {(path[-2] if len(path) > 1 else path[-1]): module for path, module in layers}


def holders(model: nn.Module) -> dict[str, nn.Module]:
    """The module of each layer, with its neurons and everything before them, by the layer's name."""
    modules = dict(model.named_modules())
    paths = [path.split(".") for path, module in modules.items() if isinstance(module, Neuron)]
    return {(path[-2] if len(path) > 1 else path[-1]): modules[".".join(path[:-1])] for path in paths}


def delays_of(model: nn.Module) -> dict[str, Delays]:
    """The delays of a model by their paths, such as ``layers.hidden1.delay``."""
    return {path: module for path, module in model.named_modules() if isinstance(module, Delays)}


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The learnable parameters of a model, in groups; a group without a parameter is left out.

    ========= ======================================================================
    group     parameters
    ========= ======================================================================
    weights   synapses and norms of the hidden layers, and all that is in no layer
    recurrent weights by which the spikes of a layer return to it
    neuron    learnt values of neurons
    readout   synapses and norms of the last layer
    delays    delays of synapses and axons, of all layers
    ========= ======================================================================
    """
    layers = {path: module for path, module in model.named_modules() if isinstance(module, Neuron)}
    last = next(reversed(layers), "").rpartition(".")[0]
    delays = {id(parameter) for each in delays_of(model).values() for parameter in each.parameters()}
    names = ("weights", "recurrent", "neuron", "readout", "delays")
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for path, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        neuron = next((layer for layer in layers if path.startswith(f"{layer}.")), None)
        if id(parameter) in delays:
            groups["delays"].append(parameter)
        elif ".recurrence." in path or (neuron is not None and path.startswith(f"{neuron}.feedback.")):
            groups["recurrent"].append(parameter)
        elif neuron is not None:
            groups["neuron"].append(parameter)
        else:
            groups["readout" if last and path.startswith(f"{last}.") else "weights"].append(parameter)
    return {name: parameters for name, parameters in groups.items() if parameters}


def has_noise(neuron: Neuron) -> bool:
    """True if the neuron's surrogate draws random numbers."""
    return type(neuron.surrogate).noise is not Surrogate.noise


def is_constant(x: Tensor) -> bool:
    """True if ``[T, B, *N]`` is stored once for all steps, as from ``Direct``."""
    return x.shape[0] > 1 and x.stride(0) == 0
