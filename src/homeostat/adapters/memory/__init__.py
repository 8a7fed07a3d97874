"""Stand-ins in memory for servers: for tests, trials and programs that embed a worker."""
