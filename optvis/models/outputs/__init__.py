"""What a network's outputs mean: logits or probabilities, of which classes, and whether they are finite.

from optvis.models.outputs.head import Head

Head("softmax").confidences(logits)
"""
