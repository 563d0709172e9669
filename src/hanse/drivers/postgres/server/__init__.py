"""The server of one replica: its program, settings, files and processes."""
