"""Tasks: where the input comes from, what is asked of the network, and how the data is parted."""

from snnrun.task.base import Batch, Data, Part, Task
from snnrun.task.cameras import CIFAR10DVS, NMNIST, DVSGesture
from snnrun.task.cochleas import SHD, SSC
from snnrun.task.digits import Digits
from snnrun.task.events import EventPart, EventTask
from snnrun.task.generated import GeneratedPart
from snnrun.task.images import ImagePart, ImageSet, ImageTask
from snnrun.task.mnist import KMNIST, MNIST, FashionMNIST, IdxTask
from snnrun.task.mnist5k import MNIST5k
from snnrun.task.moving_bars import MovingBars
from snnrun.task.spoken_tones import SpokenTones
from snnrun.task.zeros import RandomBits, Zeros

__all__ = [
    "CIFAR10DVS",
    "KMNIST",
    "MNIST",
    "NMNIST",
    "SHD",
    "SSC",
    "Batch",
    "DVSGesture",
    "Data",
    "Digits",
    "EventPart",
    "EventTask",
    "FashionMNIST",
    "GeneratedPart",
    "IdxTask",
    "ImagePart",
    "ImageSet",
    "ImageTask",
    "MNIST5k",
    "MovingBars",
    "Part",
    "RandomBits",
    "SpokenTones",
    "Task",
    "Zeros",
]
