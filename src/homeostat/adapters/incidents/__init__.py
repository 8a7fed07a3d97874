"""The code that all stores of incidents share."""
