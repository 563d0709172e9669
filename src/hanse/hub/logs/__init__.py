"""What components wrote: live, sealed by their sites for one reader; and what was sent with failures."""
