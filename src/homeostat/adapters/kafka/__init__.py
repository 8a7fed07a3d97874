"""Kafka: a consumer group in, transactions out."""
