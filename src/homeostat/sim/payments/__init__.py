"""The simulated world of card payments."""
