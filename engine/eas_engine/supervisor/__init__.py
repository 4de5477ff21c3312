"""Keeps the instances as they should be: observe, plan, act."""
