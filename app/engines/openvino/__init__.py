"""Converted models run by OpenVINO."""
