"""The demo: `hanse demo run | up | down`. Drives the `hanse` command and nothing else."""
