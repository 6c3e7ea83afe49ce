"""An ONNX graph as a trainable module, whole or at any widths, and back as a graph."""
