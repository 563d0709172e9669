"""The walks: one module for each kind of operation, and the parts they share."""
