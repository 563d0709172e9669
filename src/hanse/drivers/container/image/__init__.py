"""Images: what a file is, and which ones this site holds."""
