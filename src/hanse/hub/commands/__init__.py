"""What people and sites may change: one function a verb, one transaction each."""
