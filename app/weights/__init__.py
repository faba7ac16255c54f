"""Model files by name: the shipped manifest, the cache, and fetching what is not there."""
