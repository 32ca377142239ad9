"""The command line: one file per verb, whose heavy imports happen when it runs."""
