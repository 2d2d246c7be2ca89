"""Images that maximise an objective."""
