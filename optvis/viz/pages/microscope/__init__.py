"""The pages of a microscope."""
