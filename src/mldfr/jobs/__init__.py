"""Work that may be stopped at any time and shared: a journal of results, a lock, and the parts of a job read as one."""
