"""How servers are reached, and what is done when they fail."""
