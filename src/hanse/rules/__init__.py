"""What must hold: facts of a candidate, the scalar reader, and the expansion of an application."""
