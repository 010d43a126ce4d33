"""Colours that read on a light page and on a dark one: boxes bring their own background."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """Fill, line and text of a box, as ``#rrggbb``."""

    fill: str
    stroke: str
    text: str


CPU = Look("#e7eef8", "#5b7bab", "#1c2a3d")
GPU = Look("#fce8c4", "#c07f1d", "#3d2a08")
END = Look("#eceef0", "#7d8590", "#24292f")
INK = "#7d8590"
"""Lines and words outside boxes: grey of about equal contrast on white and on black."""


def look(kind: str, is_gpu: bool) -> Look:
    """The colours of a box."""
    if is_gpu:
        return GPU
    return END if kind in ("input", "output", "constant", "parameter") else CPU
