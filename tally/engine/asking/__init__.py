"""Questions: validated, made into SQL, and answered as chunks of bytes or as rows."""
