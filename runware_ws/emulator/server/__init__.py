"""The server of the emulator: HTTP, WebSocket, and the host that performs the service's effects."""
