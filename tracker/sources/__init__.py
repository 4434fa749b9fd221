"""Where frames come from: video files, cameras, network streams, images, a synthetic face."""
