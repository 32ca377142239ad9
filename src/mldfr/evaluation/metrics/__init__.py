"""The field's metrics, as functions of boxes, maps and labels."""
