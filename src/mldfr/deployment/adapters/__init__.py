"""Models as other tools call them, one file for each tool; the tool's own package is an extra."""
