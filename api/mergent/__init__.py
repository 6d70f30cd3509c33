"""The Mergent dialect: tasks as mergent.co spoke of them, and our additions."""
