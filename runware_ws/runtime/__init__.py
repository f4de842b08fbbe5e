"""The runtime of the client: admission, submission, the driver and its connections."""
