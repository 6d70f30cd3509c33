"""Exports: indexes, segments and file formats."""
