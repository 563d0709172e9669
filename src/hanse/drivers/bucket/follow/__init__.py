"""Following a bucket elsewhere: compare, copy, delete, remember what was copied."""
