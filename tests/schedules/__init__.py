"""Schedules, from the rule to the call, on a real store."""
