"""Any video of people to their motion in 3D."""
