"""The code that all stores of jobs share, and the place where they are opened."""
