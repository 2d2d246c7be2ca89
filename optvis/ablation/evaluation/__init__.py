"""What an ablation costs: the target class, the other classes, random controls."""
