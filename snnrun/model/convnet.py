"""The convolutional network, written as a list of layers such as ``[12c5, mp2, 64c5, mp2, fc10]``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.model import language
from snnrun.model.chain import through
from snnrun.model.execution import ExecutionPlan
from snnrun.model.language import Word
from snnrun.model.layer import Layer
from snnrun.model.norm import norm_maker
from snnrun.model.products.convolution import Conv2d
from snnrun.model.products.product import Linear
from snnrun.model.weights import weights_maker
from snnrun.neuron import Neuron
from snnrun.sequence import Trace


class ConvNet(nn.Module):
    """Convolutions, pools and fully connected layers of spiking neurons, from a list such as [12c5, mp2, fc10].

    ::

        NcK    convolution, N channels, kernel K x K; sS stride (default 1), pP padding (default 0), as 12c5s2p1
        mpK    maximum of K x K; sS stride (default K), pP padding (default 0), as mp3s2
        apK    mean of K x K; the same options
        fcN    fully connected layer of N neurons

    Every convolution and every fully connected layer has neurons. The last ``fcN`` is the read-out if N is the task's
    number of outputs; otherwise, or with no ``fc`` at the end, a read-out of that size is added.

    A convolution processes all T steps in one call, and only one step of a constant input; so does its normalisation,
    with mean and variance over time, batch and pixels.

    Args:
        input_shape: ``(C, H, W)`` of the input.
        num_outputs: size of the read-out.
        neuron: makes the neurons of a layer; called as ``neuron(shape=(C, H, W))`` or ``neuron(shape=(n,))``.
        readout: makes the neurons of the read-out; null: ``neuron`` does.
        backend: see :func:`snnrun.sequence.run`.
        layers: the words above. Default ``[12c5p2, mp2, 64c5p2, mp2]``.
        neurons: their position if pools follow a convolution: ``after_pool`` (default; convolution, pool, neurons, as
            in snnTorch's tutorial 6), so that pools get currents, or ``before_pool`` (convolution, neurons, pool, as in
            SpikingJelly's examples), so that they get spikes.
        norm: ``none`` (default), ``batch``, or ``tdbn``, which scales by α times the threshold: after the synapses of
            each layer except the read-out. See :class:`snnrun.model.Norm`.
        norm_fc: whether fully connected layers have the norm too (default), or convolutions only.
        tdbn_alpha: α of ``tdbn``, above 0. Default 1.
        bias: whether the synapses have a bias. Synapses before a ``norm``, which has its own, have none.
        dropout: share of inputs dropped in training for a whole sequence, in each layer except the first.
        dropout_conv: whether convolutions drop inputs too (default), or fully connected layers only.
        weight_init: initial weights of all synapses: ``default`` (torch's), ``uniform(k)``, ``normal(k)``,
            ``xavier(k)`` or ``orthogonal(k)``; see :func:`snnrun.model.weights.weights_maker`.

    Raises:
        ValueError: for an invalid word, an image that gets too small (naming the layer), an input that is not an image,
            or an argument out of range.

    Source: the notation of the field's papers, "12C5-MP2-64C5-MP2-10"; snnTorch's tutorial 6.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        neuron: Callable[..., Neuron],
        backend: str = "auto",
        *,
        readout: Callable[..., Neuron] | None = None,
        layers: Sequence[str] = ("12c5p2", "mp2", "64c5p2", "mp2"),
        neurons: str = "after_pool",
        norm: str = "none",
        norm_fc: bool = True,
        tdbn_alpha: float = 1.0,
        bias: bool = True,
        dropout: float = 0.0,
        dropout_conv: bool = True,
        weight_init: str = "default",
    ) -> None:
        super().__init__()
        plan = ExecutionPlan(backend)
        words = language.read(layers)
        pool_first = check.choice("neurons", neurons, ("after_pool", "before_pool")) == "after_pool"
        make_norm, initialise = norm_maker(norm, tdbn_alpha), weights_maker(weight_init)
        check.flag("norm_fc", norm_fc)
        check.flag("bias", bias)
        check.number("dropout", dropout, low=0, below=1)
        check.flag("dropout_conv", dropout_conv)
        if len(input_shape) != 3:
            raise ArgumentError(
                "layers",
                "a task with images [C, H, W] as its input",
                Description(f"an input of shape {list(input_shape)}"),
                advice="use model=mlp",
            )
        if not (words and words[-1].kind == "fc" and words[-1].size == num_outputs):
            words.append(Word(f"fc{num_outputs}", f"layers[{len(words)}]", "fc", size=num_outputs))

        shape = tuple(input_shape)  # of the input of the next word
        self.layers = nn.ModuleDict()
        i = 0
        while i < len(words):
            # Pools that do not belong to a convolution are part of the input of the next layer.
            before, shape, i = _pools(words, i, shape)
            word, last = words[i], i == len(words) - 1
            normed = norm != "none" and not last and (norm_fc or word.kind == "c")
            synapse, shape = _synapse(word, shape, bias and not normed)
            drops = bool(self.layers) and (dropout_conv or word.kind == "fc")
            channels, after, i = shape[0], None, i + 1
            if word.kind == "c" and pool_first:
                after, shape, i = _pools(words, i, shape)
            layer_neurons = (readout if readout and last else neuron)(shape=shape)
            self.layers["output" if last else f"hidden{len(self.layers) + 1}"] = Layer(
                synapse,
                layer_neurons,
                plan=plan,
                dropout=dropout if drops else 0.0,
                pool_input=before,
                norm=make_norm(channels, layer_neurons) if normed else None,
                pool=after,
            )
        initialise(self)

    def forward(self, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
        """The trace of every layer, the read-out last, for ``x`` ``[T, B, C, H, W]``."""
        return through(self.layers, x, generator)


def _synapse(word: Word, shape: tuple[int, ...], bias: bool) -> tuple[nn.Module, tuple[int, ...]]:
    """The synapses of a word, and the shape of their output."""
    if word.kind == "fc":
        return Linear(math.prod(shape), word.size, bias=bias), (word.size,)
    channels, height, width = shape
    convolution = Conv2d(channels, word.size, word.kernel, word.stride, word.padding, bias=bias)
    return convolution, (word.size, *word.image(height, width))


def _pools(words: Sequence[Word], i: int, shape: tuple[int, ...]) -> tuple[nn.Module | None, tuple[int, ...], int]:
    """The pools from word ``i`` on as one module, the shape of their output, and the index of the word after them."""
    pools: list[nn.Module] = []
    while words[i].pools:
        word, (channels, height, width) = words[i], shape
        kind = nn.MaxPool2d if word.kind == "mp" else nn.AvgPool2d
        shape = (channels, *word.image(height, width))
        pools.append(kind(word.kernel, word.stride, word.padding))
        i += 1
    return (nn.Sequential(*pools) if len(pools) > 1 else pools[0] if pools else None), shape, i
