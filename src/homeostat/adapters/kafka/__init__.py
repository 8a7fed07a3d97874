"""Kafka: consumer groups in, transactions out."""
