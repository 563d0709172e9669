"""The nouns, as frozen shapes. Pure: no clock, no I/O, no randomness."""
