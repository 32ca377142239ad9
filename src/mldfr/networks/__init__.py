"""Localization networks: backbones, recalibration, heads, their cards and their weights."""
