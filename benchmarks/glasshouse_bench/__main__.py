"""`python -m glasshouse_bench`, as `benchmarks/run` calls it."""

from glasshouse_bench.cli import main

main()
