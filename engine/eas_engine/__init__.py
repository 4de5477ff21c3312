"""eas-engine: a self-hosted serving runtime for PAI-EAS services."""

__version__ = "0.1.0"
