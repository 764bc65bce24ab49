"""Images of keypoints, textures on images, and plots."""
