"""Models: layers of synapses and neurons, applied layer by layer to the whole sequence."""

from snnrun.model.layer import Layer
from snnrun.model.mlp import MLP

__all__ = ["MLP", "Layer"]
