"""The dashboard: pages under `/dashboard` for people. `add` puts them into the app."""

from api.dashboard.pages import add

__all__ = ["add"]
