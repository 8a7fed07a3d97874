"""The post-mortem of an incident: what happened, what was found and done, and what it cost."""
