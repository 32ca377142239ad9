"""A data set that a program draws."""
