"""What the engine says about itself: counters, metrics, status and logs."""
