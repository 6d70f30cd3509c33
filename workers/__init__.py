"""The door out: jobs that act at the hour."""
