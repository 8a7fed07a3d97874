"""Steps of a plan -> changes of the settings, each exactly once, and the way back."""
