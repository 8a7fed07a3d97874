"""Redis, Valkey and Redis Cluster: the feature store, and streams."""
