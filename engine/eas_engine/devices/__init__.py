"""The cards of this machine, through the driver's NVML: which there are, how they are, and who is on them."""
