"""From an evaluation or a run on the disk to a report's page: each file gathers one part of it."""
