"""The field's metrics, each as it was published and under its name, and the pass over the pictures that feeds them."""
