"""Tables as data, the paper's and our own: what each row is, and the job that trains and measures what it needs."""
