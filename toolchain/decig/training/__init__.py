"""PyTorch: the graph as a module, losses, condensing, distilling."""
