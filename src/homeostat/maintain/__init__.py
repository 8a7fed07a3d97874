"""Loop 2: sees what is wrong with an app's decisions, and only what is wrong."""
