"""How a replica's role is held here: memory, grants, bindings, following, network."""
