"""What is measured, and how to measure it again; each module is one command, described in bench/README.md."""
