"""A persistent WebSocket client for the Runware upscale API."""
