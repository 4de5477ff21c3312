"""eas-engine: a self-hosted serving runtime for PAI-EAS services."""
