"""Models: layers of synapses and neurons, applied layer by layer to the whole sequence."""

from snnrun.model.convnet import ConvNet
from snnrun.model.delays import Delays
from snnrun.model.execution import ExecutionPlan, plan_of, set_plan
from snnrun.model.layer import Layer
from snnrun.model.mlp import MLP
from snnrun.model.norm import Norm
from snnrun.model.products.product import Linear, Product
from snnrun.model.recurrent import Recurrent
from snnrun.model.residual import Residual
from snnrun.model.structure import delays_of, holders, neurons, parameter_groups
from snnrun.model.work import multiply_adds

__all__ = [
    "MLP",
    "ConvNet",
    "Delays",
    "ExecutionPlan",
    "Layer",
    "Linear",
    "Norm",
    "Product",
    "Recurrent",
    "Residual",
    "delays_of",
    "holders",
    "multiply_adds",
    "neurons",
    "parameter_groups",
    "plan_of",
    "set_plan",
]
