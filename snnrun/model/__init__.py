"""Models: layers of synapses and neurons, applied layer by layer to the whole sequence."""

from snnrun.model.convnet import ConvNet
from snnrun.model.layer import Layer, holders, keep, neurons
from snnrun.model.mlp import MLP
from snnrun.model.norm import Norm
from snnrun.model.products.product import Linear, Product
from snnrun.model.recurrent import Recurrent, RecurrentLayer
from snnrun.model.residual import Residual
from snnrun.model.work import multiply_adds

__all__ = [
    "MLP",
    "ConvNet",
    "Layer",
    "Linear",
    "Norm",
    "Product",
    "Recurrent",
    "RecurrentLayer",
    "Residual",
    "holders",
    "keep",
    "multiply_adds",
    "neurons",
]
