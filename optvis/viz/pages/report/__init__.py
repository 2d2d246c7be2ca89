"""The page of an evaluation report."""
