"""How close two pictures are: SSIM, PSNR, colour, edges, parity."""
