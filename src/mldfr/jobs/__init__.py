"""Work that may be stopped at any time: a lock, and a journal from which the same command goes on."""
