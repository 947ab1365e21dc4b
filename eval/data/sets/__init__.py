"""The benchmarks that omni reads, one file a group; `eval.data.catalogue` has them by name."""
