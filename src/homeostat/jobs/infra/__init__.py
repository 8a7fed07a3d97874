"""The infra app at work on the simulated data centre: decided, judged by the truth, and shown."""
