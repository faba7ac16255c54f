"""Shipped weights, and the manifest of all that can be fetched; see `common.shipped_weights` and `app.weights`."""
