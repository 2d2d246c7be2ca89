"""What can be named in a layer: channels, directions, groups, receptive fields."""
