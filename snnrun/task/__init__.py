"""Tasks: the source of the input, the target of the network, and the split of the data."""

from snnrun.task.arrays import ArrayPart, Arrays
from snnrun.task.base import NO_LABEL, Batch, Data, Part, Task, check_streams
from snnrun.task.cameras import CIFAR10DVS, NMNIST, DVSGesture
from snnrun.task.cifar import CIFAR, CIFAR10, CIFAR100
from snnrun.task.cochleas import SHD, SSC
from snnrun.task.cues import CueOptions, CueTask, DelayedXOR, Evidence
from snnrun.task.digits import Digits
from snnrun.task.ecg import ECG
from snnrun.task.events import EventPart, EventTask
from snnrun.task.folder import Folder
from snnrun.task.fsdd import FSDD
from snnrun.task.generated import GeneratedPart
from snnrun.task.images import ImageOptions, ImagePart, ImageSet, ImageTask, StillOptions
from snnrun.task.mnist import EMNIST, KMNIST, MNIST, FashionMNIST, IdxTask
from snnrun.task.mnist5k import MNIST5k
from snnrun.task.moving_bars import MovingBars
from snnrun.task.published import PublishedTask
from snnrun.task.randman import Randman
from snnrun.task.scan import Scan
from snnrun.task.sequences import PaddedSequences, SequencePart, SequenceSet, SequenceTask
from snnrun.task.sequential import PermutedMNIST, SequentialDigits, SequentialMNIST, SequentialMNIST5k
from snnrun.task.spoken_tones import SpokenTones
from snnrun.task.svhn import SVHN
from snnrun.task.ucr import UCR
from snnrun.task.yin_yang import YinYang
from snnrun.task.zeros import RandomBits, Zeros

__all__ = [
    "CIFAR",
    "CIFAR10",
    "CIFAR10DVS",
    "CIFAR100",
    "ECG",
    "EMNIST",
    "FSDD",
    "KMNIST",
    "MNIST",
    "NMNIST",
    "NO_LABEL",
    "SHD",
    "SSC",
    "SVHN",
    "UCR",
    "ArrayPart",
    "Arrays",
    "Batch",
    "CueOptions",
    "CueTask",
    "DVSGesture",
    "Data",
    "DelayedXOR",
    "Digits",
    "EventPart",
    "EventTask",
    "Evidence",
    "FashionMNIST",
    "Folder",
    "GeneratedPart",
    "IdxTask",
    "ImageOptions",
    "ImagePart",
    "ImageSet",
    "ImageTask",
    "MNIST5k",
    "MovingBars",
    "PaddedSequences",
    "Part",
    "PermutedMNIST",
    "PublishedTask",
    "Randman",
    "RandomBits",
    "Scan",
    "SequencePart",
    "SequenceSet",
    "SequenceTask",
    "SequentialDigits",
    "SequentialMNIST",
    "SequentialMNIST5k",
    "SpokenTones",
    "StillOptions",
    "Task",
    "YinYang",
    "Zeros",
    "check_streams",
]
