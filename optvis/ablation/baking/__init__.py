"""An ablation written into a copy of the network's weights."""
