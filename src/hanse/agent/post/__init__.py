"""What comes in and what goes out: the hub's instructions, this site's observations, peers' questions."""
