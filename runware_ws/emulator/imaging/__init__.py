"""The image processing of the emulator: upscaling, and the store of the images that it serves."""
