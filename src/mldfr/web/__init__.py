"""The server, with a page on which boxes are tried and corrected."""
