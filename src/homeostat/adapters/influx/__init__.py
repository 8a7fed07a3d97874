"""InfluxDB: its line protocol."""
