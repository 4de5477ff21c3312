"""The engine's side of the processor hosts: one link each, and the pool they pull from."""
