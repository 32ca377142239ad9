"""What every room stands on: types, errors, registries, files, and threads."""
