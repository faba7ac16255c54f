"""Shipped weights and the manifest of everything that can be fetched; read through sasmamba.app.weights.store."""
