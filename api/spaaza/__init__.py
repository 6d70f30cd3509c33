"""The Spaaza dialect: tasks of a chain that export data, their sources and segments."""
