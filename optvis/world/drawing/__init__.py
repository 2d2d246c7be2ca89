"""Tools that draw a scene: random draws, colours, outlines, and a canvas with a mask for each part."""
