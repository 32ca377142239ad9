"""From score maps to boxes: normalisers, box rules, instances and refinements."""
