"""Answers of a service under load -> figures and a page."""
