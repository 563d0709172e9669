"""The command line: speaks HTTP to the hub, except for `explain`. Light to import."""
