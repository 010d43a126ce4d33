"""The shared suite: what a graph means, carried out by every runtime."""
