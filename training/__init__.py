"""Data, cameras, noise, losses, metrics and the loop that trains a lifter."""
