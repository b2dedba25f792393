"""Tasks: where the input comes from, what is asked of the network, and how the data is parted."""

from snnrun.task.arrays import ArrayPart, Arrays
from snnrun.task.base import Batch, Data, Part, Task
from snnrun.task.cifar import CIFAR, CIFAR10, CIFAR100
from snnrun.task.digits import Digits
from snnrun.task.folder import Folder
from snnrun.task.images import ImagePart, ImageSet, ImageTask
from snnrun.task.mnist import EMNIST, KMNIST, MNIST, FashionMNIST, IdxTask
from snnrun.task.mnist5k import MNIST5k
from snnrun.task.published import PublishedTask
from snnrun.task.svhn import SVHN
from snnrun.task.zeros import RandomBits, Zeros

__all__ = [
    "CIFAR",
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "SVHN",
    "ArrayPart",
    "Arrays",
    "Batch",
    "Data",
    "Digits",
    "FashionMNIST",
    "Folder",
    "IdxTask",
    "ImagePart",
    "ImageSet",
    "ImageTask",
    "MNIST5k",
    "Part",
    "PublishedTask",
    "RandomBits",
    "Task",
    "Zeros",
]
