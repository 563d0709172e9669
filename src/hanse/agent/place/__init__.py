"""What this site is: its file, its addresses and ports, the peers that it knows."""
