"""What models are fed: folders of images, label maps and arrays, as numpy arrays."""
