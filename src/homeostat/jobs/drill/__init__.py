"""The drill: runs of the incident suite on an app, and what came of them."""
