"""Readers of recordings: one module for each layout, each with a ``convert(data, source)``."""
