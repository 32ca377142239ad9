"""The files that the verbs write, one schema each: what writes a file and what reads it both go through it."""

from mldfr.artifacts.annotations import AnnotationLabel, AnnotationRow, FailedRow, check_annotation_row
from mldfr.artifacts.base import Artifact, Finite, Fraction
from mldfr.artifacts.evaluations import METRICS, Column, Denominator, EvaluationSetting, Kind, Metrics, Share, Unit
from mldfr.artifacts.predictions import (
    PREDICTIONS,
    LabelLine,
    PredictedBox,
    PredictedImage,
    PredictedLabel,
    PredictionLine,
    read_predictions,
)
from mldfr.artifacts.training_runs import SELECTION, Selection

__all__ = [
    "METRICS",
    "PREDICTIONS",
    "SELECTION",
    "AnnotationLabel",
    "AnnotationRow",
    "Artifact",
    "Column",
    "Denominator",
    "EvaluationSetting",
    "FailedRow",
    "Finite",
    "Fraction",
    "Kind",
    "LabelLine",
    "Metrics",
    "PredictedBox",
    "PredictedImage",
    "PredictedLabel",
    "PredictionLine",
    "Selection",
    "Share",
    "Unit",
    "check_annotation_row",
    "read_predictions",
]
