"""Language models that word facts."""
