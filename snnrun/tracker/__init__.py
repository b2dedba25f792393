"""Trackers receive each record of a run as it is written, and pass it to another program."""

from snnrun.tracker.base import Record, Tracker
from snnrun.tracker.csv import Csv
from snnrun.tracker.mlflow import MLflow
from snnrun.tracker.tensorboard import TensorBoard
from snnrun.tracker.trackers import Trackers

__all__ = ["Csv", "MLflow", "Record", "TensorBoard", "Tracker", "Trackers"]
