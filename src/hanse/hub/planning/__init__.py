"""From a file to a plan: reading, the market as it is now, and narrowing a mandate for a move."""
