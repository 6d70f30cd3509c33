"""Frozen values: what a task, an attempt, a schedule and a project are."""
