"""What training sees: images, pairs, crops, and what a teacher makes of them."""
