"""Whatever stands around the dot: as many messages in Postfix as answers 250 to the client.

Before and behind the dot stand all sequences of {CR, LF, CRLF, NUL}: in all no more than three of
them, or two on each side. Each is tried in the header and in the body, in one piece and octet by
octet, with a second message hidden behind it. Postfix has its default settings (3.7 takes LF.CRLF
for an end of data).
"""
import concurrent.futures
import itertools
import re
import time

import wire
from support import client, harness, postfix
from support.harness import Skip, check, equal, table, test
from support.proc import wait_until

PARTS = (b'\r', b'\n', b'\r\n', b'\x00')
THREADS = 8


def sequences(length):
    return [b''.join(parts) for parts in itertools.product(PARTS, repeat=length)]


def ends():
    """Each end once: CR and LF side by side are CRLF."""
    found = {}
    for before, behind in itertools.product(range(4), repeat=2):
        if 0 < before + behind <= 3 or before == behind == 2:
            for one, other in itertools.product(sequences(before), sequences(behind)):
                found[one + b'.' + other] = None
    return list(found)


PLACES = {'body': b'Subject: first %d\r\n\r\none', 'header': b'Subject: first %d'}
HIDDEN = (b'MAIL FROM:<hidden@evil.example>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n'
          b'Subject: hidden %d\r\n\r\ntwo\r\n.\r\nQUIT\r\n')


def attempt(session, number, end, place, split):
    """The codes that answered a message: replies to what came behind a 354."""
    check(session.envelope('a@client.example', 'user@example.org') is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    front, back = PLACES[place] % number, HIDDEN % number
    if split:
        session.send(front)
        for octet in end + back[:3]:
            session.send(bytes([octet]))
        session.send(back[3:])
    else:
        session.send(front + end + back)
    answered, behind_354 = [], True
    try:
        while True:
            reply = session.reply()
            if behind_354:
                answered.append(reply.code)
            behind_354 = reply.code == 354
    except client.Gone:
        pass
    check(answered, '%r: no answer', end)
    check(not [code for code in answered if code // 100 not in (2, 4, 5)], 'answers %s', answered)
    return answered


def all_of(proxy, ends_now, place, split, secured):
    def one(pair):
        with wire.connect(proxy, secured) as session:
            return attempt(session, pair[0], pair[1], place, split)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, enumerate(ends_now)))


ROWS = [('%s-%s-%s' % (place, 'split' if split else 'whole', 'tls' if secured else 'plain'),
         place, split, secured)
        for place in PLACES for split in (False, True) for secured in (False, True)]


@table([row for row in ROWS if not row[3] or row[0] == 'body-whole-tls'], seconds=120)
def around_the_dot(t, name, place, split, secured):
    inside = postfix.Postfix(t)
    proxy = t.postern(inside.address, lines=['limit errors-hard 1000 sessions 100'] +
                      (wire.tls_lines(t) if secured else []))
    wanted, begin = ends(), time.monotonic()
    answers = all_of(proxy, wanted, place, split, secured)
    counts = [codes.count(250) for codes in answers]
    seconds = time.monotonic() - begin
    wait_until(lambda: inside.queue_count() == 0 and len(inside.messages()) >= sum(counts), 30, 0.1)
    got = inside.messages()
    seen = {}
    for message in got:
        for number in set(re.findall(rb'(?m)^Subject: first (\d+)', message)) or set(
                re.findall(rb'(?m)^Subject: hidden (\d+)', message)):
            seen[int(number)] = seen.get(int(number), 0) + 1
    wrong = [(end, count, seen.get(number, 0)) for number, (end, count) in
             enumerate(zip(wanted, counts)) if count != seen.get(number, 0)]
    check(not wrong, 'end, answers 250, messages inside: %s', wrong[:10])
    equal(len(got), sum(counts), 'messages inside')
    # one that is hidden has come in by the front door, or not at all
    open_ends = sum(1 for codes in answers if codes[1:] == [250])
    hidden = sum(1 for m in got if re.search(rb'(?m)^Return-Path: <hidden', m))
    equal(hidden, open_ends, 'messages with the hidden sender')
    true_ends = sum(1 for end in wanted if b'\r\n.\r\n' in end)
    check(open_ends <= true_ends, '%d ends were taken, %d are CRLF.CRLF', open_ends, true_ends)
    harness.FIGURES.append('smuggling %s: %d ends, %d answers 250, %d inside, %d true ends, %.1f s'
                           % (name, len(wanted), sum(counts), len(got), true_ends, seconds))


table([row for row in ROWS if row[3] and row[0] != 'body-whole-tls'], seconds=120, full=True)(
    around_the_dot)


@test(seconds=60)
def the_trap_is_armed(t):
    """Straight to Postfix, LF.CRLF does smuggle: the test above can fail."""
    inside = postfix.Postfix(t)
    with client.Client((inside.port.host, inside.port.number)) as session:
        session.greet()
        equal(attempt(session, 1, b'\n.\r\n', 'body', False), [250, 250], 'answers by Postfix')


@table([('body', 'body'), ('header', 'header')], seconds=120)
def inside_chunks(t, name, place):
    """By BDAT nothing within the octets announced can end a message."""
    inside = postfix.Postfix(t)
    proxy = t.postern(inside.address, lines=['limit errors-hard 1000 sessions 100'])
    with wire.connect(proxy) as session:
        if not session.offers('CHUNKING'):
            raise Skip('CHUNKING is not offered')

    def one(pair):
        with wire.connect(proxy) as session:
            check(session.envelope('a@client.example', 'user@example.org') is None, 'envelope')
            reply = session.chunks(PLACES[place] % pair[0] + pair[1] + HIDDEN % pair[0], 7)
            check(reply.code == 250 or reply.code >= 400, '%r: %s', pair[1], reply)
            session.quit()
            return reply.code
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        taken = list(pool.map(one, enumerate(ends()))).count(250)
    wait_until(lambda: inside.queue_count() == 0 and len(inside.messages()) >= taken, 30, 0.1)
    equal(len(inside.messages()), taken, 'messages inside')
    check(not any(re.search(rb'(?m)^Return-Path: <hidden', m) for m in inside.messages()),
          'a hidden message came in')
