"""How instances are held to the cards, and shares of cards, that they were given.

``share`` is one instance's part: what its processes see, what enforces it, whether it has too much. ``mps``
keeps NVIDIA's Multi-Process Service running for the cards whose compute is shared by percent.
"""
