"""Asks language models about incidents: what they may see, what they may answer, and what is made of it."""
