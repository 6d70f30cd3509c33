"""The door in: HTTP to verbs."""
