"""The expression language of rules, filters and derived features."""
