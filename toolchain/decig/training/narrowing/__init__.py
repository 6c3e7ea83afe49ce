"""How a net becomes narrower while it is trained, and where it is cut."""
