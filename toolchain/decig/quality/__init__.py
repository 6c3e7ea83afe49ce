"""How close two pictures are: structure, error, colour, edges, and parity of tensors."""
