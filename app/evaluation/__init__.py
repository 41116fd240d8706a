"""Evaluation on labelled data: measuring, comparing settings and calibrating."""
