"""What happened, recorded in the same transaction as what it changed."""
