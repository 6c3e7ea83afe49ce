"""Export of the final ONNX file, and the check of it against its reference."""
