"""The image work of the emulator: upscaling, and the store of the images that it serves."""
