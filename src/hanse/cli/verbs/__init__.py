"""The commands, grouped by what they are about; each module owns its `commands`."""
