"""Pages that this machine serves: who may ask, with which limits, and what every answer carries."""
