"""A study on a cluster: jobs written and submitted, what became of them, and Dask workers."""
