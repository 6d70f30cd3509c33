"""Timeball: a self-hosted dispatcher of HTTP tasks."""

__version__ = "0.1.0"
