"""The client at work: admission, submission, the driver and its connections."""
