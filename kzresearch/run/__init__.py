"""Runs notebooks: one or many, here or on a cluster."""
