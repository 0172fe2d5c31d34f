"""Counts words in texts: the workload that comes with Essaim, and an example for your own."""
