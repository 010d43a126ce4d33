"""Objects, shards, snapshots and aliases: everything that outlives a process."""
