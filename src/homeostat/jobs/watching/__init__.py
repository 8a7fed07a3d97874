"""Watches one machine or process: samples are decided by a small app, and alerts become episodes."""
