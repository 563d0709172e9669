"""Fakes of drivers, router and data network, in memory, with fault knobs: the first to pass the contract."""
