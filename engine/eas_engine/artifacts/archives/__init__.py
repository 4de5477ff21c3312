"""From an archive to a directory: whole or not at all, and nothing outside it."""
