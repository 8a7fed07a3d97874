"""Two revisions side by side: the best round of each counts, and what was checked out is gone afterwards."""

import subprocess

import pytest
from benchmarks.__main__ import Benchmark

from benchmarks import compare

RATE, TIME = ("decisions a second", "/s"), ("whole replay", "s")


def test_the_best_round_of_each_tree_counts(monkeypatch, tmp_path):
    rounds = iter([
        {RATE: 100.0, TIME: 3.0}, {RATE: 50.0, TIME: 4.0, ("only here", "s"): 1.0},  # First the base, then this tree.
        {RATE: 60.0, TIME: 9.0}, {RATE: 120.0, TIME: 2.0},  # Then the other way round.
    ])  # fmt: skip
    monkeypatch.setattr(compare, "measured", lambda tree, benchmark: next(rounds))
    found = {row.name: row for row in compare.compared(tmp_path, Benchmark("replay"), rounds=2)}
    assert set(found) == {"decisions a second", "whole replay"}
    assert found["decisions a second"].ratio == 120.0 / 60.0
    assert found["whole replay"].ratio == 4.0 / 2.0
    assert "2.000" in compare.as_text(list(found.values()), "abc")


def test_a_revision_is_checked_out_and_removed_even_after_a_failure(monkeypatch, tmp_path):
    def git(*given):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", *given], cwd=tmp_path, check=True)

    git("init", "--quiet")
    (tmp_path / "file").write_text("first")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    (tmp_path / "file").write_text("second")
    monkeypatch.setattr(compare, "ROOT", tmp_path)
    trees = []

    def measure_and_fail():
        with compare.checked_out("HEAD") as tree:
            trees.append(tree)
            assert (tree / "file").read_text() == "first"
            raise RuntimeError("measuring failed")

    with pytest.raises(RuntimeError, match="measuring failed"):
        measure_and_fail()
    assert not trees[0].exists()
    listed = subprocess.run(["git", "worktree", "list"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert listed.stdout.count("\n") == 1
