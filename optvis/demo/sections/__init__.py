"""The sections of the tour, one a module: `build_section(model, config)` computes the figures and writes the texts."""
