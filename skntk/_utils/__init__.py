"""Helpers that every room may use: validation, precision, memory, progress, warnings."""
