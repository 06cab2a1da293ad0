"""What lies on disk, readable without Ray: the ledger, histories, checkpoints, events."""
