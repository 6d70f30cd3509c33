"""The door of time: duties that recur."""
