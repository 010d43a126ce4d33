"""Where a plan is carried out: in this process, on Ray Data, on Ray Serve."""
