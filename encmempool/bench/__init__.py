"""Jobs of the benchmarks and what every result carries: the machine, versions and settings."""
