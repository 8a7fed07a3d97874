"""InfluxDB: its line protocol, and reading 1.x by InfluxQL, 2.x by Flux and 3.x by SQL."""
