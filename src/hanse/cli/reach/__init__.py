"""The way from this machine into a component: leave to use it, a local port, a credential."""
