"""The demo: four ways to protect the same simulated payments, side by side."""
