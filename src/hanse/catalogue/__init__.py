"""The market as the hub knows it: imported CSV and what joined sites state."""
