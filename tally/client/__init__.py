"""The client: what `import tally` brings to a program that sends samples. It needs the standard library only."""
