"""An agent as processes on a real machine: its parent, its beginning, its end."""
