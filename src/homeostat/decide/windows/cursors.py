"""Heads and tails: they move to an event's time, forward as a rule, back for a late event, and outcomes reach behind.

A late event is no special case: the cursors go back to its time, it is inserted there, and the next event takes
them forward again, so that the cost is that of the events between.
"""

from __future__ import annotations

from homeostat.decide.windows.accounts import add, remove, take, take_here
from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.layout import (
    A_COLUMNS,
    A_DISTINCT,
    A_FIRST,
    A_MAX,
    A_MIN,
    A_N,
    A_NEEDS,
    A_STREAM,
    A_TAIL,
    E_BASE,
    E_BLOCK,
    E_CAPACITY,
    E_END,
    E_TIME,
    H_COLUMNS,
    H_DELAY,
    H_POSITION,
    H_STREAM_FROM,
    H_STREAM_TO,
    NEED_DISTINCT,
    NEED_FIRST,
    NEED_MAX,
    NEED_MIN,
    NEED_MORE,
    NEED_SINCE,
    P_HEAD_FROM,
    P_HEAD_TO,
    P_LABEL,
    P_SPAN_FROM,
    P_SPAN_TO,
    P_STREAM_FROM,
    P_STREAM_TO,
    P_TAG,
    R_ACCOUNT_FROM,
    R_ACCOUNT_TO,
    R_COLUMNS,
    R_LABEL,
    R_MAX,
    R_MIN,
    R_NEEDS,
    R_POSITION,
    R_SAME,
    S_ACCOUNT_FROM,
    S_ACCOUNT_TO,
    S_COLUMNS,
    S_DELAY,
    S_LENGTH,
    S_POSITION,
    S_TAIL,
    At,
    Ints,
    Words,
)
from homeostat.decide.windows.links import pass_more, pass_since, recompute, unpass_more

NEED_AT_TAIL = NEED_MIN | NEED_MAX | NEED_DISTINCT


@inlined
def pass_event(p: Ints, ws: Words, at: At, r: int, q: int) -> None:
    """The head passes q: stream r's accounts count it in."""
    x = take_here(p, ws, r, at.base + q * at.width)
    needs = p[r + R_NEEDS]
    if x == x:
        for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
            add(p, ws, at.offset, k, x)
        if needs & NEED_MORE:
            pass_more(p, ws, at, r, q, x)
    if needs & NEED_SINCE:
        pass_since(p, ws, at, r, q, x)


@kernel
def drop_links(p: Ints, ws: Words, at: At, k: int, q: int) -> None:
    """Account k's tail passes q, which it held: fronts move on, a value may be gone."""
    needs = p[k + A_NEEDS]
    r = p[k + A_STREAM]
    address = at.base + q * at.width
    if needs & NEED_MIN and ws.state[at.offset + p[k + A_MIN]] == q:
        distance = ws.log[address + p[r + R_MIN] + 1]
        ws.state[at.offset + p[k + A_MIN]] = q + distance if distance > 0 else -1
    if needs & NEED_MAX and ws.state[at.offset + p[k + A_MAX]] == q:
        distance = ws.log[address + p[r + R_MAX] + 1]
        ws.state[at.offset + p[k + A_MAX]] = q + distance if distance > 0 else -1
    if needs & NEED_DISTINCT and ws.log[address + p[r + R_SAME] + 1] == 0:
        ws.state[at.offset + p[k + A_DISTINCT]] -= 1


@inlined
def move(
    p: Ints,
    ws: Words,
    at: At,
    e: int,
    now: int,
    horizon: int,
) -> None:
    """Moves entity e's cursors to where they stand for an event of time `now`.

    Rows that are not after `horizon` are out of every span, whether or not they still lie in memory.
    """
    end = ws.state[at.offset + E_END]
    for h in range(p[e + P_HEAD_FROM], p[e + P_HEAD_TO], H_COLUMNS):
        bound = max(now - p[h + H_DELAY], horizon)
        q = ws.state[at.offset + p[h + H_POSITION]]
        while q < end and ws.log[at.base + q * at.width] <= bound:
            for r in range(p[h + H_STREAM_FROM], p[h + H_STREAM_TO], R_COLUMNS):
                pass_event(p, ws, at, r, q)
            q += 1
        ws.state[at.offset + p[h + H_POSITION]] = q
    for s in range(p[e + P_SPAN_FROM], p[e + P_SPAN_TO], S_COLUMNS):
        bound = max(now - p[s + S_DELAY] - p[s + S_LENGTH], horizon)
        q = ws.state[at.offset + p[s + S_TAIL]]
        head = ws.state[at.offset + p[s + S_POSITION]]
        while q < head and ws.log[at.base + q * at.width] <= bound:
            for place in range(p[s + S_ACCOUNT_FROM], p[s + S_ACCOUNT_TO]):
                k = p[place]
                if ws.state[at.offset + p[k + A_N]] == 0:
                    continue  # It holds nothing: what is rarely admitted costs this comparison only.
                x = take_here(p, ws, p[k + A_STREAM], at.base + q * at.width)
                if x == x:
                    remove(p, ws, at.offset, k, x)
                    if p[k + A_NEEDS] & NEED_AT_TAIL:
                        drop_links(p, ws, at, k, q)
            q += 1
        ws.state[at.offset + p[s + S_TAIL]] = q
    if now < ws.state[at.offset + E_TIME]:
        move_back(p, ws, at, e, now, horizon)
    ws.state[at.offset + E_TIME] = now


@kernel
def move_back(
    p: Ints,
    ws: Words,
    at: At,
    e: int,
    now: int,
    horizon: int,
) -> None:
    """Tails, then heads, back to `now`."""
    base = ws.state[at.offset + E_BASE]
    for s in range(p[e + P_SPAN_FROM], p[e + P_SPAN_TO], S_COLUMNS):
        bound = max(now - p[s + S_DELAY] - p[s + S_LENGTH], horizon)
        q = ws.state[at.offset + p[s + S_TAIL]]
        while q > base and ws.log[at.base + (q - 1) * at.width] > bound:
            q -= 1
            for place in range(p[s + S_ACCOUNT_FROM], p[s + S_ACCOUNT_TO]):
                k = p[place]
                r = p[k + A_STREAM]
                x = take(p, ws, r, at.base + q * at.width)
                if x == x:
                    add(p, ws, at.offset, k, x)
                    if p[k + A_NEEDS] & NEED_FIRST:
                        ws.state[at.offset + p[k + A_FIRST]] = q
                    if p[k + A_NEEDS] & NEED_DISTINCT and ws.log[at.base + q * at.width + p[r + R_SAME] + 1] == 0:
                        ws.state[at.offset + p[k + A_DISTINCT]] += 1
        ws.state[at.offset + p[s + S_TAIL]] = q
    for h in range(p[e + P_HEAD_FROM], p[e + P_HEAD_TO], H_COLUMNS):
        bound = max(now - p[h + H_DELAY], horizon)
        q = ws.state[at.offset + p[h + H_POSITION]]
        while q > base and ws.log[at.base + (q - 1) * at.width] > bound:
            q -= 1
        for r in range(p[h + H_STREAM_FROM], p[h + H_STREAM_TO], R_COLUMNS):
            unpass(p, ws, at, r, q)
        ws.state[at.offset + p[h + H_POSITION]] = q
        for r in range(p[h + H_STREAM_FROM], p[h + H_STREAM_TO], R_COLUMNS):
            if p[r + R_NEEDS] & NEED_MORE:
                recompute(p, ws, at, r)


@kernel
def unpass(p: Ints, ws: Words, at: At, r: int, start: int) -> None:
    """Stream r counts out the events from `start` to its head, newest first; the caller then moves the head."""
    q = ws.state[at.offset + p[r + R_POSITION]]
    while q > start:
        q -= 1
        x = take(p, ws, r, at.base + q * at.width)
        if x == x:
            if p[r + R_NEEDS] & NEED_MORE:
                unpass_more(p, ws, at, r, q, x)
            for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
                if q >= ws.state[at.offset + p[k + A_TAIL]]:
                    remove(p, ws, at.offset, k, x)
    for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
        if p[k + A_NEEDS] & NEED_FIRST and ws.state[at.offset + p[k + A_FIRST]] > start:
            ws.state[at.offset + p[k + A_FIRST]] = start


@kernel
def kept_from(p: Ints, ws: Words, at: At, e: int, horizon: int) -> int:
    """The first event that must stay logged: a cursor has not passed it, or a late event might look at it."""
    stop = ws.state[at.offset + E_END]
    for s in range(p[e + P_SPAN_FROM], p[e + P_SPAN_TO], S_COLUMNS):
        stop = min(stop, ws.state[at.offset + p[s + S_TAIL]])
    q = ws.state[at.offset + E_BASE]
    while q < stop and ws.log[at.base + q * at.width] <= horizon:
        q += 1
    return q  # type: ignore[no-any-return]


@kernel
def insert(p: Ints, ws: Words, o: int, w: int, e: int, now: int, horizon: int) -> None:
    """Logs the event in the scratch row at its place, after those of equal time. No cursor has passed that place."""
    base = ws.state[o + E_BASE]
    end = ws.state[o + E_END]
    block = ws.state[o + E_BLOCK]
    if end - base == ws.state[o + E_CAPACITY]:
        start = kept_from(p, ws, At(o, block - base * w, w), e, horizon)
        shift = (start - base) * w
        for a in range(block, block + (end - start) * w):
            ws.log[a] = ws.log[a + shift]
        base = start
        ws.state[o + E_BASE] = base
    a = block + (end - base) * w
    while a > block and ws.log[a - w] > now:
        for c in range(w):
            ws.log[a + c] = ws.log[a - w + c]
        a -= w
    for c in range(w):
        ws.log[a + c] = ws.log[c]
    ws.state[o + E_END] = end + 1


@kernel
def find_event(p: Ints, ws: Words, at: At, e: int, time: int, tag: int) -> int:
    """The logged event of this time and tag, or -1."""
    start = ws.state[at.offset + E_BASE]
    end = ws.state[at.offset + E_END]
    stop = end
    while start < stop:
        middle = (start + stop) // 2
        if ws.log[at.base + middle * at.width] < time:
            start = middle + 1
        else:
            stop = middle
    while start < end and ws.log[at.base + start * at.width] == time:
        if ws.log[at.base + start * at.width + p[e + P_TAG]] == tag:
            return start  # type: ignore[no-any-return]
        start += 1
    return -1


@kernel
def set_label(p: Ints, ws: Words, at: At, e: int, q: int, label: float) -> None:
    """Event q's outcome arrives or is corrected: every account that holds q follows."""
    word = at.base + q * at.width + p[e + P_LABEL]
    old = ws.log_floats[word]
    if old == label or (old != old and label != label):
        return
    for r in range(p[e + P_STREAM_FROM], p[e + P_STREAM_TO], R_COLUMNS):
        position = at.offset + p[r + R_POSITION]
        head = ws.state[position]
        if p[r + R_LABEL] < 0 or head <= q:
            continue
        needs = p[r + R_NEEDS]
        if needs & NEED_AT_TAIL:
            replay_label(p, ws, at, r, q, word, label)
            continue
        before = take(p, ws, r, at.base + q * at.width)
        ws.log_floats[word] = label
        after = take(p, ws, r, at.base + q * at.width)
        for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
            if q >= ws.state[at.offset + p[k + A_TAIL]]:
                # In before out, so that an account of one event is not emptied between.
                if after == after:
                    add(p, ws, at.offset, k, after)
                    if p[k + A_NEEDS] & NEED_FIRST:
                        ws.state[at.offset + p[k + A_FIRST]] = min(q, ws.state[at.offset + p[k + A_FIRST]])
                if before == before:
                    remove(p, ws, at.offset, k, before)
        if needs & NEED_MORE:
            recompute(p, ws, at, r)
        ws.log_floats[word] = old
    ws.log_floats[word] = label


@kernel
def replay_label(
    p: Ints,
    ws: Words,
    at: At,
    r: int,
    q: int,
    word: int,
    label: float,
) -> None:
    """Sets a label under a stream whose links depend on it: back to the event, and forward again."""
    old = ws.log_floats[word]
    position = at.offset + p[r + R_POSITION]
    head = ws.state[position]
    unpass(p, ws, at, r, q)
    ws.state[position] = q
    recompute(p, ws, at, r)
    ws.log_floats[word] = label
    for j in range(q, head):
        x = take(p, ws, r, at.base + j * at.width)
        if x == x:
            for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
                if j >= ws.state[at.offset + p[k + A_TAIL]]:
                    add(p, ws, at.offset, k, x)
            pass_more(p, ws, at, r, j, x)
    ws.state[position] = head
    recompute(p, ws, at, r)
    ws.log_floats[word] = old
