"""What happens to tally when its process forks: real programs with threads, daemons and servers."""
