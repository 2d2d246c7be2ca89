"""Selection: which units carry a class."""
