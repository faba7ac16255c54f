"""A folder of clips to a folder of renders: what is done is not done again, whatever happened in between."""
