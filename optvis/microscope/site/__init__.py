"""The site of a microscope: its folder, and the pages and JSON files in it."""
