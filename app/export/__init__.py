"""Motion for other programs: one table of motion, one file per format, and the HTML page."""
