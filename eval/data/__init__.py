"""Official files of benchmarks: which they are, whether they are all there, and their items as conversations.

`eval.data.catalogue.BENCHMARKS` are the benchmarks, `eval.data.opening.open_official` opens a split of one.
"""
