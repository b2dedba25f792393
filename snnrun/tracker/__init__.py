"""Trackers: they are told what a run records, as it records it, and hand it on to another program."""

from snnrun.tracker.base import Record, Tracker
from snnrun.tracker.csv import Csv
from snnrun.tracker.mlflow import MLflow
from snnrun.tracker.tensorboard import TensorBoard
from snnrun.tracker.watched import Trackers

__all__ = ["Csv", "MLflow", "Record", "TensorBoard", "Tracker", "Trackers"]
