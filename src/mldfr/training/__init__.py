"""Learning from image labels: recipes, pictures to batches, the loop, and runs that can be interrupted."""
