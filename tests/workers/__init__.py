"""The pump and its calls."""
