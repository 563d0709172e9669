"""Documents that outlive a process: claims and ledger payloads, signed as bytes elsewhere."""
