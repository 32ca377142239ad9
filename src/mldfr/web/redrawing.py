"""Boxes and heat maps from maps that the page has, at any setting; no picture and no model is needed."""

import base64

import cv2
import numpy as np
import torch

from mldfr.boxes.drawing import BoxSettings, draw_boxes
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.core.types import Boxes, Float32Array
from mldfr.localizer.mscam import upsampled
from mldfr.web.redrawing_schemas import DrawAnswer, DrawnBox, DrawRequest, HeatMap, MappedLabel


def redraw(asked: DrawRequest) -> DrawAnswer:
    """Draw the boxes of all labels, and the heat map that is asked for."""
    settings = BoxSettings(
        threshold=asked.threshold, normalizer=asked.normalizer, box_rule=asked.box_rule, min_region=asked.min_region
    )
    hottest = np.zeros(_heat_size(asked), np.float32)
    drawn: list[DrawnBox] = []
    for label in asked.labels:
        score_map = _summed(label, asked.map_height, asked.map_width)
        drawn += _in_picture(draw_boxes(score_map, None, settings), label, asked)
        if asked.heat:
            activation = NORMALIZERS[asked.normalizer](score_map)
            small = cv2.resize(activation, hottest.shape[::-1], interpolation=cv2.INTER_AREA)
            np.maximum(hottest, small, out=hottest)
    return DrawAnswer(boxes=drawn, heat=_heat_map(hottest) if asked.heat else None)


def _summed(label: MappedLabel, height: int, width: int) -> Float32Array:
    """The maps of the scales at one size, summed as `mscam` does it."""
    total = torch.zeros((1, height, width))
    for each in label.maps:
        total += upsampled(torch.from_numpy(each.array())[None], (height, width))
    summed: Float32Array = total[0].numpy()
    return summed


def _in_picture(boxes: Boxes, label: MappedLabel, asked: DrawRequest) -> list[DrawnBox]:
    """The boxes in the picture itself, which rounding would let them leave."""
    factors = np.array([asked.width / asked.map_width, asked.height / asked.map_height] * 2, np.float32)
    corners = np.minimum(boxes.xyxy * factors, np.array([asked.width, asked.height] * 2))
    scores = boxes.scores * np.float32(label.probability)
    return [
        DrawnBox(class_index=label.class_index, xyxy=xyxy, score=score)
        for xyxy, score in zip(corners.tolist(), scores.tolist(), strict=True)
    ]


def _heat_size(asked: DrawRequest) -> tuple[int, int]:
    shrink = min(1.0, asked.heat / max(asked.map_height, asked.map_width))
    return max(1, round(asked.map_height * shrink)), max(1, round(asked.map_width * shrink))


def _heat_map(activation: Float32Array) -> HeatMap:
    levels = np.clip(255 * activation, 0, 255).round().astype(np.uint8)
    height, width = levels.shape
    return HeatMap(height=height, width=width, values=base64.b64encode(levels.tobytes()).decode())
