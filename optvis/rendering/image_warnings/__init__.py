"""What is said about images when they are done: unchanged scores, blank images, pixels outside [0, 1], ceilings."""
