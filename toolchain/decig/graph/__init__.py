"""The ONNX graph: loading, channel identities, slicing, cost. No torch, no sessions."""
