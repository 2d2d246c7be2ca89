"""Pixels, plots and pages; knows no network."""
