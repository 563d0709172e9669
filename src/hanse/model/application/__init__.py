"""The application as its buyer wrote it, and the requirements it expands to."""
