"""The moves of the house: the only meeting of store and queue."""
