"""Plan -> ruling: execute, escalate or watch, by rules in plain code. `rules` is the table of them."""
