"""The preset processors."""
