"""Workers as processes on real servers, killed under load, as the servers are."""


def test_nothing_is_lost_doubled_or_wrong_whoever_is_killed_under_load(tmp_path, real_servers):
    from benchmarks.crash import trial

    report = trial(4, tmp_path, rate=200.0, customers=100, days=55, sample=1000, seed=3, lent=real_servers)
    assert report.well, report.shown
    assert sum(report.rounds.values()) == 4 and report.found.events > 500
