"""Generators as PyTorch code: building, weights and export to ONNX."""
