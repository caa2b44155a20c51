"""The client, for programs that send samples. It needs the standard library only."""
