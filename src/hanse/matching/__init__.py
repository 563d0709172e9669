"""The cheapest placement that satisfies a mandate, or why there is none. Pure, exact, deterministic."""
