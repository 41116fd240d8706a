"""Traces by the conventions of OpenInference."""
