"""The market: providers, sites, offers, and what a plan says about them."""
