"""A simulated data centre: hosts and services with a call graph, seasons, deploys, cascades and faults."""
