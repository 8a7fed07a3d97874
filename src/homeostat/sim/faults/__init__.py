"""Faults for drills: every kind of trouble of the suite, over any app's traffic.

A quiet world (`worlds`) gives the traffic of a seed, `runs.run_of` draws a run, and `runs.lay_out` puts its faults on
the traffic. `jobs.drill.deciding` decides it: its `bodies` yields what a journal would get, hour by hour, so that a
monitor can be tried on a fault in a few lines:

    from homeostat.jobs.drill.deciding import bodies

    for hour in bodies("payments", "S12", seed=0, days=30):
        hour.end_ns, hour.outcomes, hour.changes, hour.decisions, hour.recorded_ns, hour.letters

The hours begin four quiet weeks before day 0, so that a monitor knows its past. In an hour, changes come first, then
outcomes, then decisions, each batch with the time at which it was recorded. Monitors are tuned on seeds 0 to 99 of S00
to S26 alone.
"""
