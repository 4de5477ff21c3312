"""Changes of a running service: from what an operator asks for to its end, whatever comes between."""
