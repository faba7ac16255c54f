"""Joints over time to poses in 3D, over a whole video or while it happens."""
