"""The store and its moves, on a real Valkey."""
