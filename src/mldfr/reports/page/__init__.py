"""Pages that show results to people."""
