"""Runs the cut-over machines of `hanse.replicas.cutover`: their actions, their memory, their words."""
