"""From pictures to annotation files: list, annotate with a journal, merge, and order for review."""
