"""Texts, whatever they are for: sentences, and windows of long texts."""
