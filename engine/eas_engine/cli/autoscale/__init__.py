"""``eas-engine autoscale``: explain what was decided, record a load, and try settings on it."""
