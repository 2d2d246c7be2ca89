"""What a network's output means: which tensor it is, whether its numbers are logits or probabilities, of which classes.

from optvis.models.outputs.head import Head

Head("softmax").confidences(logits)
"""

from optvis.models.outputs.head import Head

__all__ = ["Head"]
