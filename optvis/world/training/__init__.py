"""How the embedded classifier is trained and measured."""
