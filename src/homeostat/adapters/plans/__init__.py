"""The statements that the stores of plans have in common."""
