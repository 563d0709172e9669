"""A consumer's way into a database: a fixed login here, another one at whichever site serves."""
