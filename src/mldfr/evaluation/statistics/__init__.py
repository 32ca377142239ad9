"""Intervals, and whether one result is better than another."""
