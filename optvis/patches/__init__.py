"""Images pasted into others to change the predicted class."""
