"""The networks, their scan, and the skeletons they speak of."""
