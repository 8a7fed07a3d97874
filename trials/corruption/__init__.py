"""Corrupted files and stores, generated: each must be an error of ours, or a result that is provably right.

    python -m trials.corruption app_files --count 100000 --seed 0

Roads: app_files, bundles, snapshots, journals, parquet, stores, redis. Every case is made from (seed, number) alone, so
that a failure can be run again by `--only NUMBER`.
"""
