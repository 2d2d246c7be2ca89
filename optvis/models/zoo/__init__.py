"""Networks by name or file: the embedded one, torchvision's, timm's, Hugging Face's, and files of weights."""
