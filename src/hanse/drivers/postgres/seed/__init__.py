"""The first copy of a cluster, taken over SQL, so that a cut one is resumed."""
