"""What a processor sees of its artifacts, where it expects it."""
