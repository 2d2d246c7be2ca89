"""A microscope: a static site with a page for each channel of a network's layers."""

from optvis.microscope.builder import microscope

__all__ = ["microscope"]
