"""Mutations that may survive, and why."""

from __future__ import annotations

from collections.abc import Mapping

ACCEPTED: Mapping[str, Mapping[str, str]] = {}
