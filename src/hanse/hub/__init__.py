"""The hub: commands change the store, the engine walks operations, queries answer."""
