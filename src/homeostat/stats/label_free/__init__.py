"""The quality of a classifier without labels: functions on arrays."""
