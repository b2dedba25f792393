"""Surrogates: derivatives that replace the derivative of the step function, and their primitives if there are any.

``base`` is the interface. Every surrogate exists in module style, ``ATan(alpha=2.0)(x)``, and in function style,
``atan(x, 2.0)``.
"""

from snnrun.surrogate.base import Surrogate, function
from snnrun.surrogate.bell import (
    Erf,
    Erfc,
    Gaussian,
    MultiGaussian,
    PiecewiseExp,
    Sigmoid,
    SpikeRateEscape,
    SquarewaveFourierSeries,
    Tanh,
)
from snnrun.surrogate.graded import MultiLevelSpikeCount
from snnrun.surrogate.piecewise import (
    PiecewiseLeakyReLU,
    PiecewiseQuadratic,
    Rectangular,
    SparseFastSigmoid,
    Triangular,
)
from snnrun.surrogate.ramp import S2NN, Heaviside, LeakyKReLU, LeakySpikeOperator, LogTailedReLU, StraightThrough
from snnrun.surrogate.stochastic import (
    BernoulliSurrogate,
    CircDist,
    Logistic,
    PoissonPass,
    RandomSurrogate,
    StochasticSpikeOperator,
)
from snnrun.surrogate.tail import (
    ATan,
    Circ,
    FakeNumericalGradient,
    FastSigmoid,
    NonzeroSignLogAbs,
    QPseudoSpike,
    SoftSign,
    SuperSpike,
)
from snnrun.surrogate.user import Custom

__all__ = [
    "S2NN",
    "ATan",
    "BernoulliSurrogate",
    "Circ",
    "CircDist",
    "Custom",
    "Erf",
    "Erfc",
    "FakeNumericalGradient",
    "FastSigmoid",
    "Gaussian",
    "Heaviside",
    "LeakyKReLU",
    "LeakySpikeOperator",
    "LogTailedReLU",
    "Logistic",
    "MultiGaussian",
    "MultiLevelSpikeCount",
    "NonzeroSignLogAbs",
    "PiecewiseExp",
    "PiecewiseLeakyReLU",
    "PiecewiseQuadratic",
    "PoissonPass",
    "QPseudoSpike",
    "RandomSurrogate",
    "Rectangular",
    "Sigmoid",
    "SoftSign",
    "SparseFastSigmoid",
    "SpikeRateEscape",
    "SquarewaveFourierSeries",
    "StochasticSpikeOperator",
    "StraightThrough",
    "SuperSpike",
    "Surrogate",
    "Tanh",
    "Triangular",
]

atan = function(ATan)
circ = function(Circ)
circ_dist = function(CircDist)
custom = function(Custom)
erf = function(Erf)
erfc = function(Erfc)
fake_numerical_gradient = function(FakeNumericalGradient)
fast_sigmoid = function(FastSigmoid)
gaussian = function(Gaussian)
heaviside = function(Heaviside)
leaky_k_relu = function(LeakyKReLU)
leaky_spike_operator = function(LeakySpikeOperator)
log_tailed_relu = function(LogTailedReLU)
logistic = function(Logistic)
multi_gaussian = function(MultiGaussian)
multi_level_spike_count = function(MultiLevelSpikeCount)
nonzero_sign_log_abs = function(NonzeroSignLogAbs)
piecewise_exp = function(PiecewiseExp)
piecewise_leaky_relu = function(PiecewiseLeakyReLU)
piecewise_quadratic = function(PiecewiseQuadratic)
poisson_pass = function(PoissonPass)
q_pseudo_spike = function(QPseudoSpike)
rectangular = function(Rectangular)
s2nn = function(S2NN)
sigmoid = function(Sigmoid)
soft_sign = function(SoftSign)
sparse_fast_sigmoid = function(SparseFastSigmoid)
spike_rate_escape = function(SpikeRateEscape)
squarewave_fourier_series = function(SquarewaveFourierSeries)
stochastic_spike_operator = function(StochasticSpikeOperator)
straight_through = function(StraightThrough)
super_spike = function(SuperSpike)
tanh = function(Tanh)
triangular = function(Triangular)
