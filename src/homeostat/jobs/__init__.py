"""Work that runs to an end: replay, training, simulation, trials of guards, exports and reports."""
