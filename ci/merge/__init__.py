"""Shards brought together."""
