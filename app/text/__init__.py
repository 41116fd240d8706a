"""Texts, whatever they are for: how they are split, and on which side they are cut."""

from __future__ import annotations

from typing import Literal

Side = Literal["left", "right"]
