"""The contract of every store of jobs, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place::

    @pytest.mark.parametrize("check", JOBS_CHECKS, ids=lambda check: check.__name__)
    def test_my_jobs(check, tmp_path):
        check(lambda bounds: MyJobs(tmp_path, bounds))

Each function asserts; none needs pytest. Tests with more than one process are those of the runner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread

from homeostat.errors import HomeostatError
from homeostat.ports.jobs import Bounds, JobMoved, Jobs, KeyReused, QueueFull, UnknownJob
from homeostat.records.job import Job, JobState, NotNow

OpensJobs = Callable[[Bounds], Jobs]
BOUNDS = Bounds(queued=50, over=20, log_bytes=1000)
_HOUR_NS = 3600 * 10**9


def _job(name: str, key: str = "") -> Job:
    return Job("train", (name, "--out=b"), actor="ann", key=key, folder="/tmp", created_ns=5)  # noqa: S108


def _begun(store: Jobs, owner: str = "one", running_max: int = 100) -> Job:
    job = store.claim(owner, 7, {}, running_max)
    assert job is not None
    return job


def _raises(error: type[HomeostatError], act: Callable[[], object]) -> HomeostatError:
    try:
        act()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was expected")


def an_empty_store_has_nothing_to_do(open_jobs: OpensJobs) -> None:
    """Nothing is listed, found or claimed."""
    store = open_jobs(BOUNDS)
    assert list(store.list()) == [] and store.claim("one", 1, {}, 1) is None and store.prune() == 0
    for act in (lambda: store.get(1), lambda: store.read(1), lambda: store.move(replace(_job("a"), id=1))):
        _raises(UnknownJob, act)
    store.close()


def a_job_comes_back_as_it_was_submitted(open_jobs: OpensJobs) -> None:
    """Here, elsewhere, and after opening again; ids rise, and odd characters are kept."""
    store, other = open_jobs(BOUNDS), open_jobs(BOUNDS)
    first = store.submit(_job("ü'\"; -- %s\u2028"))
    second = other.submit(_job("b", key="once"))
    assert 0 < first.id < second.id and first.revision > 0 and first.state is JobState.QUEUED
    store.close()
    again = open_jobs(BOUNDS)
    for each in (other, again):
        assert each.get(first.id) == first and each.get(second.id) == second
        assert list(each.list()) == [second, first]
        each.close()


def jobs_are_listed_in_pages(open_jobs: OpensJobs) -> None:
    """The newest first, of the wanted states, each once."""
    store = open_jobs(BOUNDS)
    jobs = [store.submit(_job(str(k))) for k in range(7)]
    begun = _begun(store)
    pages, below = [], None
    while page := store.list(limit=3, below=below):
        pages += [job.id for job in page]
        below = page[-1].id
    assert pages == [job.id for job in reversed(jobs)]
    assert [job.id for job in store.list([JobState.RUNNING])] == [begun.id] == [jobs[0].id]
    assert len(store.list([JobState.RUNNING, JobState.QUEUED])) == 7 and not store.list([JobState.FAILED])
    store.close()


def a_key_is_one_job(open_jobs: OpensJobs) -> None:
    """However often and from wherever it is submitted, also once the job is over; other work is refused."""
    store = open_jobs(BOUNDS)
    job = store.submit(_job("a", "once"))
    found: list[Job] = []

    def submit() -> None:
        own = open_jobs(BOUNDS)
        found.append(own.submit(_job("a", "once")))
        found.append(own.submit(_job("c", "twice")))
        own.close()

    _together(submit, 4)
    assert {one.id for one in found if one.key == "once"} == {job.id}
    assert len({one.id for one in found if one.key == "twice"}) == 1 and len(found) == 8
    assert "job " in str(_raises(KeyReused, lambda: store.submit(_job("b", "once"))))
    store.move(_begun(store).ended(JobState.SUCCEEDED, 9))
    assert store.submit(_job("a", "once")).state is JobState.SUCCEEDED and len(store.list()) == 2
    assert store.submit(_job("a")).id != store.submit(_job("a")).id
    store.close()


def a_full_queue_refuses(open_jobs: OpensJobs) -> None:
    """With an error that says so; a repeated key is answered still, and there is room again after a claim."""
    bounds = replace(BOUNDS, queued=2)
    store = open_jobs(bounds)
    first = store.submit(_job("a", "first"))
    store.submit(_job("b"))
    _raises(QueueFull, lambda: store.submit(_job("c")))
    assert store.submit(_job("a", "first")).id == first.id and len(store.list()) == 2
    _begun(store)
    store.submit(_job("c"))
    store.close()


def jobs_are_claimed_in_order_each_once(open_jobs: OpensJobs) -> None:
    """By runners that race; at most so many at a time."""
    store = open_jobs(BOUNDS)
    ids = [store.submit(_job(str(k))).id for k in range(12)]
    first = _begun(store, "me", 1)
    assert first.id == ids[0] and first.state is JobState.RUNNING and first.attempts == 1
    assert first.owner == "me" and first.started_ns == 7 and store.get(first.id) == first
    assert store.claim("me", 7, {}, 1) is None
    taken: list[int] = []

    def claim() -> None:
        own = open_jobs(BOUNDS)
        while (job := own.claim("racer", 8, {}, 9)) is not None:
            taken.append(job.id)
        own.close()

    _together(claim, 4)
    assert sorted(taken) == ids[1:9] and len(store.list([JobState.RUNNING])) == 9
    store.close()


def only_one_of_two_authors_moves_a_job(open_jobs: OpensJobs) -> None:
    """The other gets an error, and the job is as the first left it."""
    store, other = open_jobs(BOUNDS), open_jobs(BOUNDS)
    store.submit(_job("a"))
    seen = _begun(store)
    beaten = store.move(seen.beaten(9, 0.25, "reading"))
    assert beaten.revision > seen.revision and store.get(seen.id) == beaten == other.get(seen.id)
    _raises(JobMoved, lambda: other.move(seen.ended(JobState.FAILED, 9)))
    wins: list[str] = []

    def end(name: str) -> Callable[[], None]:
        own = open_jobs(BOUNDS)

        def act() -> None:
            try:
                own.move(beaten.ended(JobState.FAILED, 10, error=name))
                wins.append(name)
            except JobMoved:
                pass
            own.close()

        return act

    _all([end(f"author {k}") for k in range(4)])
    assert len(wins) == 1 and store.get(seen.id).error == wins[0]
    store.close()
    other.close()


def a_lost_job_is_begun_again_once(open_jobs: OpensJobs) -> None:
    """By one of two racing runners; not where it moved since; and after its last attempt it is interrupted."""
    store = open_jobs(BOUNDS)
    store.submit(_job("a"))
    waits = store.submit(_job("b"))
    seen = _begun(store)
    assert store.claim("two", 9, {}, 1) is None
    beaten = store.move(seen.beaten(8, 0.5, ""))
    assert store.claim("two", 9, {seen.id: seen.revision}, 1) is None
    takers: list[Job | None] = []

    def take() -> None:
        own = open_jobs(BOUNDS)
        takers.append(own.claim("two", 9, {beaten.id: beaten.revision}, 1))
        own.close()

    _together(take, 3)
    (again,) = [job for job in takers if job is not None]
    assert again.id == seen.id and again.attempts == 2 and again.owner == "two" and again.progress == 0.0
    _raises(JobMoved, lambda: store.move(beaten.ended(JobState.SUCCEEDED, 10)))  # The first runner wakes up.
    assert store.claim("three", 11, {again.id: again.revision}, 1) is None
    following = store.claim("three", 12, {}, 1)
    lost = store.get(seen.id)
    assert lost.state is JobState.INTERRUPTED and "lost 2 times" in lost.error and lost.ended_ns == 11
    assert following is not None and following.id == waits.id
    store.close()


def a_job_to_be_cancelled_is_not_begun_again(open_jobs: OpensJobs) -> None:
    """One that waits is over at once; one that runs is asked; one that was lost meanwhile is over."""
    store = open_jobs(BOUNDS)
    store.submit(_job("a"))
    waits = store.submit(_job("b"))
    runs = _begun(store)
    gone = store.move(waits.asked_to_cancel("bob", 8))
    assert gone.state is JobState.CANCELLED and gone.cancel == "bob" and gone.ended_ns == 8
    asked = store.move(runs.asked_to_cancel("bob", 8))
    assert asked.state is JobState.RUNNING and asked.cancel == "bob"
    assert store.claim("two", 9, {asked.id: asked.revision}, 1) is None
    assert store.get(runs.id).state is JobState.CANCELLED
    store.close()


def what_is_over_may_be_retried(open_jobs: OpensJobs) -> None:
    """It waits as if new, with its id and key; one that succeeded or runs is not retried."""
    store = open_jobs(BOUNDS)
    job = store.submit(_job("a", "once"))
    failed = store.move(_begun(store).ended(JobState.FAILED, 9, error="no such file"))
    assert failed.error == "no such file" and failed.ended_ns == 9
    queued = store.move(failed.again())
    assert replace(queued, revision=job.revision) == job
    done = store.move(_begun(store).ended(JobState.SUCCEEDED, 9, {"rows": [1, 2.5, None, "x"]}))
    assert done.progress == 1.0 and store.get(job.id).result == {"rows": [1, 2.5, None, "x"]}
    _raises(NotNow, done.again)
    store.close()


def a_runner_that_stops_gives_its_job_back(open_jobs: OpensJobs) -> None:
    """It waits at its old place, and the attempt does not count."""
    store = open_jobs(BOUNDS)
    first = store.submit(_job("a"))
    store.submit(_job("b"))
    store.move(_begun(store).released())
    again = _begun(store, "two")
    assert again.id == first.id and again.attempts == 1
    store.close()


def clocks_decide_nothing(open_jobs: OpensJobs) -> None:
    """A clock that jumps forth or back changes the times that are shown, and no claim."""
    store = open_jobs(BOUNDS)
    first = store.submit(replace(_job("a"), created_ns=10 * _HOUR_NS))
    second = store.submit(replace(_job("b"), created_ns=_HOUR_NS))
    begun = store.claim("one", 1000 * _HOUR_NS, {}, 1)
    assert begun is not None and begun.id == first.id
    assert store.claim("two", 5000 * _HOUR_NS, {}, 1) is None
    beaten = store.move(begun.beaten(-_HOUR_NS, 0.1, ""))
    assert beaten.heartbeat_ns == -_HOUR_NS and store.claim("two", 0, {begun.id: begun.revision}, 1) is None
    store.move(beaten.ended(JobState.SUCCEEDED, 0))
    then = store.claim("two", -1, {}, 1)
    assert then is not None and then.id == second.id
    store.close()


def a_log_is_read_from_any_offset(open_jobs: OpensJobs) -> None:
    """It holds what was written by the present run, byte for byte, here and elsewhere."""
    store, other = open_jobs(BOUNDS), open_jobs(BOUNDS)
    job = store.submit(_job("a"))
    assert store.read(job.id).data == b"" and store.read(job.id).end == 0
    run = _begun(store)
    assert store.write(run, b"one\xff\n") and store.write(run, b"two\n") and store.write(run, b"")
    for each in (store, other):
        part = each.read(job.id)
        assert (part.offset, part.data, part.end) == (0, b"one\xff\ntwo\n", 9)
        assert each.read(job.id, 5).data == b"two\n" and each.read(job.id, 2, 3).data == b"e\xff\n"
        assert each.read(job.id, 9).data == b"" and each.read(job.id, 99).offset == 9
    again = other.claim("two", 9, {run.id: store.get(run.id).revision}, 1)
    assert again is not None and not store.write(run, b"late") and other.write(again, b"three\n")
    assert store.read(job.id, 9).data == b"three\n"
    ended = store.move(store.get(run.id).ended(JobState.FAILED, 10))
    assert not store.write(ended, b"late") and store.read(job.id).end == 15
    store.close()
    other.close()


def a_log_is_bounded(open_jobs: OpensJobs) -> None:
    """Its newest half is there; an offset means the same before and after; a reader that is late goes on there."""
    store = open_jobs(BOUNDS)
    job = store.submit(_job("a"))
    run = _begun(store)
    text = b"".join(b"%06d\n" % k for k in range(1000))
    at = 0
    for size in (10, 490, 1, 2100, 7, 1300):
        assert store.write(run, text[at : at + size])
        at += size
        kept = _whole(store, job.id)
        end = store.read(job.id).end
        assert end == at and text[:at].endswith(kept) and BOUNDS.log_bytes // 2 <= max(len(kept), 500)
        assert len(kept) <= BOUNDS.log_bytes and len(kept) >= min(at, BOUNDS.log_bytes // 2)
    late = store.read(job.id, 3, 10)
    assert late.offset == at - len(_whole(store, job.id)) and late.data == text[late.offset : late.offset + 10]
    store.close()


def what_is_over_is_kept_up_to_a_bound(open_jobs: OpensJobs) -> None:
    """The oldest go first, with their logs; what waits or runs stays."""
    store = open_jobs(replace(BOUNDS, over=3))
    ids = []
    for k in range(6):
        ids.append(store.submit(_job(str(k))).id)
        run = _begun(store)
        if k != 1:
            store.write(run, b"x")
            store.move(run.ended(JobState.FAILED, 9))
    store.prune()
    assert [job.id for job in store.list()] == [*reversed(ids[3:]), ids[1]] and store.prune() == 0
    _raises(UnknownJob, lambda: store.read(ids[0]))
    assert store.read(ids[3]).data == b"x"
    assert store.submit(_job("new")).id > ids[-1]
    store.close()


def _whole(store: Jobs, id: int) -> bytes:
    """All that is kept of a log."""
    data, offset = b"", 0
    while (part := store.read(id, offset, 100)).data:
        data, offset = data + part.data, part.offset + len(part.data)
    return data


def _together(act: Callable[[], None], count: int) -> None:
    _all([act] * count)


def _all(acts: list[Callable[[], None]]) -> None:
    """Run these in threads at the same time; an error in one is raised here."""
    errors: list[BaseException] = []

    def caught(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=caught, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def a_job_that_only_looks_on_takes_no_place(open_jobs: OpensJobs) -> None:
    """It begins where nothing else may, before what waits longer, and what begins then does not count it."""
    store = open_jobs(BOUNDS)
    for name in ("first", "second"):
        store.submit(_job(name))
    watch = store.submit(replace(_job(""), kind="canary", arguments=("--data=x",)))
    assert _begun(store, running_max=1).id == watch.id
    assert _begun(store, running_max=1).arguments[0] == "first"
    assert store.claim("one", 7, {}, 1) is None
    other = store.submit(replace(_job(""), kind="canary", arguments=("--data=y",)))
    assert _begun(store, running_max=0).id == other.id
    assert store.claim("one", 7, {}, 0) is None
    store.close()


JOBS_CHECKS: tuple[Callable[[OpensJobs], None], ...] = (
    an_empty_store_has_nothing_to_do,
    a_job_comes_back_as_it_was_submitted,
    jobs_are_listed_in_pages,
    a_key_is_one_job,
    a_full_queue_refuses,
    jobs_are_claimed_in_order_each_once,
    a_job_that_only_looks_on_takes_no_place,
    only_one_of_two_authors_moves_a_job,
    a_lost_job_is_begun_again_once,
    a_job_to_be_cancelled_is_not_begun_again,
    what_is_over_may_be_retried,
    a_runner_that_stops_gives_its_job_back,
    clocks_decide_nothing,
    a_log_is_read_from_any_offset,
    a_log_is_bounded,
    what_is_over_is_kept_up_to_a_bound,
)
