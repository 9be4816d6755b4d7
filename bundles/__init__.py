"""Bundle folders, as data. Nothing here is code."""
