"""Evaluation: what a network loses without some units, against random units."""
