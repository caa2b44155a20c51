"""The example site as real processes, driven over HTTP and in a browser."""
