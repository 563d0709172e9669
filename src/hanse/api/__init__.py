"""The hub's HTTP face: thin, over commands and queries. HTTP statuses are known only here."""
