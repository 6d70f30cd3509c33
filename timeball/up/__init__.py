"""The supervisor behind `timeball up`."""
