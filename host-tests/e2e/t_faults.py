"""The internal server misbehaves at every stage: the client gets 4xx, never a false 250 or a 5xx.

Each test takes one stage and runs every fault there side by side, one route and one internal
server per fault, once with a held and once with a streamed message. Afterwards the server is
healed and must be used again: a fault leaves nothing poisoned behind.
"""
import concurrent.futures
import signal
import socket
import time

from support import client, mail
from support.harness import Failed, check, equal, table, test
from support.server import CLOSE, HANG, RESET, Drip, Endless

TIMEOUTS = 'timeout relay-connect 2 relay-command 2 relay-data 3'
MESSAGES = {'held': mail.message('held', 3000), 'streamed': mail.message('streamed', 700 << 10)}

# (name, what is sent or done where the reply is due)
ANYWHERE = [
    ('close', CLOSE),
    ('reset', RESET),
    ('silence', HANG),
    ('binary', bytes(range(128, 256)) * 4 + b'\r\n'),
    ('nul', b'\0\0\0\0\r\n'),
    ('text', b'Hello there, how are you?\r\n'),
    ('empty-line', b'\r\n'),
    ('two-digits', b'25 ok\r\n'),
    ('four-digits', b'2500 ok\r\n'),
    ('class-one', b'150 wait\r\n'),
    ('class-six', b'650 what\r\n'),
    ('class-nine', b'999 what\r\n'),
    ('glued', b'250ok\r\n'),
    ('endless-lines', Endless(b'250-and more\r\n')),
    ('endless-line', (b'250 ', Endless(b'x' * 60))),
    ('no-line-end', (b'250 ok', HANG)),
    ('no-line-end-close', (b'250 ok', CLOSE)),
    ('lone-cr', (b'250 ok\r', HANG)),
    ('lone-lf', (b'250 ok\n', HANG)),
    ('nul-inside', b'250 o\0k\r\n'),
    ('codes-differ', b'250-a\r\n354 b\r\n'),
    ('unfinished', (b'250-a\r\n250-b\r\n', CLOSE)),
    ('421', (b'421 4.3.2 going down\r\n', CLOSE)),
    ('451', b'451 4.3.0 later\r\n'),
    ('text-then-ok', b'warning: something\r\n250 2.0.0 ok\r\n'),
    ('dripping', Drip(b'250-' + b'slow' * 14, 0.1)),
]
WRONG_CLASS = {
    'banner': [('250', b'250 hello\r\n'), ('354', b'354 hello\r\n')],
    'ehlo': [('354', b'354 go\r\n'), ('220', b'334 go\r\n')],
    'xforward': [('354', b'354 go\r\n')],
    'mail': [('354', b'354 go\r\n'), ('334', b'334 go\r\n')],
    'rcpt': [('354', b'354 go\r\n'), ('two-at-once', b'250 ok\r\n354 go\r\n')],
    'data': [('250', b'250 ok\r\n'), ('early-250', b'354 go\r\n250 2.0.0 queued\r\n'),
             ('220', b'220 go\r\n')],
    'dot': [('354', b'354 go on\r\n'), ('334', b'334 go on\r\n')],
    'body': [('250', b'250 2.0.0 queued\r\n'), ('354', b'354 go\r\n')],
}
# 5xx that are our misconfiguration, not the sender's fault (BEHAVIOUR section 3)
OUR_FAULT = {
    'banner': [('554', b'554 5.3.2 no service\r\n')],
    'mail': [('550', b'550 5.7.1 not from you\r\n'), ('530', b'530 5.7.0 authenticate first\r\n')],
    'rcpt': [('relaying', b'554 5.7.1 <x>: Relay access denied\r\n'),
             ('auth', b'530 5.7.0 Authentication required\r\n')],
    'data': [('554', b'554 5.5.1 no valid recipients\r\n')],
}
# where the client may first hear of it
LAST_STAGE = {'banner': 'rcpt', 'ehlo': 'rcpt', 'xforward': 'rcpt', 'mail': 'rcpt', 'rcpt': 'rcpt',
              'data': 'eod', 'body': 'eod', 'dot': 'eod'}
# a server that cannot do XFORWARD just now can still take mail
HARMLESS = {('xforward', '451')}
# seen at RCPT or only with the next command
MAYBE_LATER = {'two-at-once'}
ENDS = {'close', 'reset', 'silence', '421', 'unfinished', 'no-line-end-close'}


def pause(_):
    """Not reading: so much of the body is on its way that the dot cannot have been sent."""
    time.sleep(0.7)


def faults_of(stage, size):
    faults = [(name, action) for name, action in ANYWHERE + WRONG_CLASS.get(stage, []) +
              OUR_FAULT.get(stage, []) if (stage, name) not in HARMLESS]
    if stage != 'body':
        return faults
    if size == 'held':
        # such a message leaves in one piece: what comes back looks like the answer to it
        return [(name, action) for name, action in faults if name in ENDS]
    return [(name, (action, pause)) for name, action in faults if name != 'dripping']


def attempt(proxy, domain, server, stage, fault, text):
    """One delivery into the fault; what is wrong with it, or None."""
    try:
        at, reply = client.deliver(proxy.address, 'a@example.com', 'u@' + domain, text, seconds=25)
    except (client.Gone, client.Late, client.BadReply, OSError) as what:
        return 'no 4xx but %s: %s' % (type(what).__name__, what)
    if not 400 <= reply.code <= 499:
        return '%s answered %s' % (at, reply)
    if LAST_STAGE[stage] == 'rcpt' and at != 'rcpt' and fault not in MAYBE_LATER:
        return 'known at RCPT, said at %s: %s' % (at, reply)
    if server.taken:
        return 'the server has taken it, the client heard %s' % reply
    return None


def recover(proxy, domain, server, text):
    """The same route works as soon as the server does."""
    server.heal()
    end = time.monotonic() + 5
    while True:
        at, reply = client.deliver(proxy.address, 'a@example.com', 'u@' + domain, text)
        if reply.code == 250:
            break
        if time.monotonic() > end:
            return 'after healing %s answered %s' % (at, reply)
        time.sleep(0.2)
    if len(server.taken) != 1:
        return 'after healing %d messages inside' % len(server.taken)
    return mail.difference(text, server.taken[0].body)


@table([('%s-%s' % (stage, size), stage, size) for stage in LAST_STAGE for size in MESSAGES],
       seconds=60)
def at(t, name, stage, size):
    cases = faults_of(stage, size)
    servers = []
    for _, action in cases:
        server = t.server(body_after=100 << 10 if size == 'streamed' else 1,
                          receive_buffer=16384 if stage == 'body' else None)
        server.fault(stage, action)
        servers.append(server)
    lines = ['relay r%d.example to %s' % (i, s.address) for i, s in enumerate(servers)]
    proxy = t.postern(lines=lines + [TIMEOUTS, 'limit sessions 200'])

    def one(number):
        domain, server = 'r%d.example' % number, servers[number]
        wrong = attempt(proxy, domain, server, stage, cases[number][0], MESSAGES[size])
        if not wrong:
            server.drop()
            wrong = recover(proxy, domain, server, MESSAGES[size])
        return wrong and '%s: %s' % (cases[number][0], wrong)
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        wrong = [w for w in pool.map(one, range(len(cases))) if w]
    check(not wrong, '%d of %d faults: %s', len(wrong), len(cases), '\n'.join([''] + wrong))


@table([('held', 'held'), ('streamed', 'streamed')])
def refused_connection(t, name, size):
    server = t.server()
    server.refuse()
    proxy = t.postern(server, lines=[TIMEOUTS])
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', MESSAGES[size])
    equal((at, reply.code // 100), ('rcpt', 4), 'refused connection: %s' % reply)
    server.listen()
    wrong = recover(proxy, 'example.org', server, MESSAGES[size])
    check(not wrong, wrong)


@test()
def no_answer_to_syn(t):
    """A server whose backlog is full drops SYNs: the connect time-out ends it."""
    port = t.port()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((port.host, port.number))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((port.host, port.number))
        fillers.append(filler)
    proxy = t.postern(port, lines=[TIMEOUTS])
    started = time.monotonic()
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', MESSAGES['held'])
    equal((at, reply.code // 100), ('rcpt', 4), 'dropped SYN: %s' % reply)
    check(time.monotonic() - started < 8, 'took %.1f s', time.monotonic() - started)
    for sock in [listener] + fillers:
        sock.close()


class Steps:
    """A client that goes on step by step, so that something can happen in between."""

    def __init__(self, proxy, text):
        self.session = client.Client(proxy.address, 25)
        wire = client.stuff(text)
        half = len(wire) // 2
        self.parts = [
            ('connect', None, 220), ('ehlo', b'EHLO c.example\r\n', 250),
            ('mail', b'MAIL FROM:<a@example.com>\r\n', 250),
            ('rcpt', b'RCPT TO:<u@example.org>\r\n', 250), ('data', b'DATA\r\n', 354),
            ('half', wire[:half], None), ('before-dot', wire[half:-5], None),
            ('eod', wire[-5:], 250)]

    def run(self, before, action):
        """Do `action` before the step of that name. The last reply."""
        reply = None
        for name, data, wanted in self.parts:
            if name == before:
                action()
            if data is not None:
                self.session.send(data)
            if wanted is not None:
                reply = self.session.reply()
                if reply.code != wanted:
                    return reply
        return reply


STEPS = ('connect', 'mail', 'rcpt', 'data', 'half', 'before-dot', 'eod')


@table([('%s-before-%s-%s' % (how, step, size), how, step, size) for how in ('killed', 'stopped')
        for step in STEPS for size in MESSAGES], seconds=40)
def process(t, name, how, step, size):
    """`postern sink` is killed or stopped while the client is between two steps."""
    sink, address, directory = t.sink()
    proxy = t.postern(address, lines=[TIMEOUTS])
    steps = Steps(proxy, MESSAGES[size])
    number = signal.SIGKILL if how == 'killed' else signal.SIGSTOP

    def act():
        time.sleep(0.1)
        sink.signal_group(number)
        time.sleep(0.1)
    reply = steps.run(step, act)
    check(400 <= reply.code <= 499, 'answered %s', reply)
    equal(len(mail.maildir(directory)), 0, 'messages in the sink')


@table([('held', 'held'), ('streamed', 'streamed')], seconds=40)
def killed_after_the_dot(t, name, size):
    sink, address, directory = t.sink('--fault', 'eod=hang')
    proxy = t.postern(address, lines=[TIMEOUTS.replace('relay-data 3', 'relay-data 20')])
    session = client.Client(proxy.address, 25)
    check(session.greet().code == 250 and
          session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(MESSAGES[size]))
    time.sleep(0.5)
    sink.kill()
    reply = session.reply(10)
    equal(reply.code // 100, 4, 'reply %s' % reply)
    record = proxy.wait_log()[0]
    check(record.get('outcome') in ('unknown', 'deferred'), 'outcome %s', record.get('outcome'))


@test(seconds=30)
def late_answer_is_no_answer(t):
    """The 250 comes after we gave up: the client was told 451 and is not told otherwise."""
    server = t.server()

    def late(connection):
        time.sleep(5)
        connection.sock.sendall(b'250 2.0.0 queued\r\n')
    server.fault('dot', late, times=1)
    proxy = t.postern(server, lines=[TIMEOUTS, 'timeout reply 2'])
    session = client.Client(proxy.address, 25)
    check(session.greet().code == 250 and
          session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    reply = session.data(MESSAGES['held'])
    equal(reply.code // 100, 4, 'reply to the dot: %s' % reply)
    time.sleep(5)
    try:
        extra = session.reply(0.5)
        raise Failed('unasked reply %s' % extra)
    except (client.Late, client.Gone):
        pass


@table([('code-%d' % code, code, enhanced) for code, enhanced in (
    (550, '5.1.1'), (552, '5.2.2'), (450, '4.2.1'), (452, '4.2.2'), (550, ''), (450, ''))])
def rcpt_refusal_passed_on(t, name, code, enhanced):
    server = t.server()
    server.fault('rcpt', ('%d %s secret-text\r\n' % (code, enhanced)).replace('  ', ' ').encode())
    proxy = t.postern(server)
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'x\r\n')
    equal((at, reply.code), ('rcpt', code), 'refusal')
    check(reply.enhanced and reply.enhanced[0] == str(code)[0], 'enhanced code in %s', reply)
    if enhanced:
        equal(reply.enhanced, enhanced, 'enhanced code')
    check('secret-text' not in reply.text, 'internal text outside: %s', reply)


@table([('code-%d-%s' % (code, size), code, enhanced, size) for size in MESSAGES
        for code, enhanced in ((550, '5.7.1'), (554, '5.6.0'), (552, '5.3.4'), (452, '4.3.1'),
                               (451, '4.3.0'))])
def final_refusal_passed_on(t, name, code, enhanced, size):
    server = t.server()
    server.fault('dot', b'%d %s secret-text\r\n' % (code, enhanced.encode()))
    proxy = t.postern(server)
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', MESSAGES[size])
    equal((at, reply.code, reply.enhanced), ('eod', code, enhanced), 'refusal')
    check('secret-text' not in reply.text, 'internal text outside: %s', reply)
    record = proxy.wait_log()[0]
    check('secret-text' in str(record), 'log has no internal text: %s', record)
    equal(record.get('outcome'), 'refused' if code >= 500 else 'deferred', 'outcome')


@table([(stage + '-' + size, stage, size) for stage in ('banner', 'ehlo', 'mail', 'rcpt', 'data',
                                                        'dot') for size in MESSAGES])
def their_421_is_our_451(t, name, stage, size):
    """The internal server takes its leave, not we."""
    server = t.server()
    server.fault(stage, (b'421 4.3.2 secret-text\r\n', CLOSE))
    proxy = t.postern(server)
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', MESSAGES[size])
    equal((at, reply.code, reply.enhanced), (LAST_STAGE[stage], 451, '4.3.0'), 'reply')
    check('secret-text' not in reply.text, 'internal text outside: %s', reply)


@table([('from-us', '5.1.8', 550), ('syntax', '5.1.7', 553), ('size', '5.3.4', 552)])
def sender_refusal_passed_on(t, name, enhanced, code):
    """These three speak of the sender, not of us."""
    server = t.server()
    server.fault('mail', b'%d %s secret-text\r\n' % (code, enhanced.encode()))
    proxy = t.postern(server)
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'x\r\n')
    equal((at, reply.code, reply.enhanced), ('rcpt', code, enhanced), 'refusal')
    check('secret-text' not in reply.text, 'internal text outside: %s', reply)


@test()
def text_pass_sends_the_text(t):
    server = t.server()
    server.fault('rcpt', b'550 5.1.1 <u@example.org> moved away\r\n')
    proxy = t.postern(server, relay_options='text pass')
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'x\r\n')
    equal((at, reply.code), ('rcpt', 550), 'refusal')
    check('moved away' in reply.text, 'text missing: %s', reply)


@test()
def some_recipients_refused(t):
    """The others get the message."""
    server = t.server(refused_rcpt=lambda rest: b'NOBODY' in rest.upper())
    proxy = t.postern(server)
    with client.Client(proxy.address) as session:
        session.greet()
        equal(session.command('MAIL FROM:<a@example.com>').code, 250, 'MAIL')
        codes = [session.command('RCPT TO:<%s@example.org>' % u).code
                 for u in ('one', 'nobody1', 'two', 'nobody2')]
        equal(codes, [250, 550, 250, 550], 'RCPT')
        equal(session.data(MESSAGES['held']).code, 250, 'data')
    equal(server.taken[0].recipients, [b'TO:<one@example.org>', b'TO:<two@example.org>'],
          'recipients inside')


@test()
def harmless_oddities(t):
    """Legal if unusual replies are understood: many lines, no text, slow pieces."""
    server = t.server()
    server.fault('banner', b'220-hello\r\n220-there\r\n220 you\r\n')
    server.fault('mail', b'250\r\n')
    server.fault('rcpt', b'251 2.1.5 will forward\r\n')
    server.fault('dot', (Drip(b'250-2.0.0 ok\r\n250 2.0.0 queued\r\n', 0.01),))
    proxy = t.postern(server)
    at, reply = client.deliver(proxy.address, 'a@example.com', 'u@example.org', b'x\r\n')
    equal((at, reply.code), ('eod', 250), 'delivery: %s' % reply)
