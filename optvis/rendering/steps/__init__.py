"""Parts of the step of an ascent: what is checked before the first, and after each."""
