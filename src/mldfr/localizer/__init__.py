"""From pictures to predictions: MsCAM, and the localizer that applies it."""
