"""Commands about whole networks and large data sets."""
