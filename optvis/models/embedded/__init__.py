"""The embedded classifiers, a convolutional network and a transformer: architectures, weights, labels, model cards."""
