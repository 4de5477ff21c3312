"""Bytes and status codes, nothing else: what clients and operators see of the engine."""
