"""Training and measuring of the demo classifier and its judge; needed only to make the weights and the card again."""
