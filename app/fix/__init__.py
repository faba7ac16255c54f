"""Corrections by hand: what somebody sets right in the 2D, over what is lifted and placed again."""
