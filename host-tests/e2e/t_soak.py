"""Everything at once, by dice: clients of every manner, internal servers of every mood.

What must hold whatever happens: a message whose client heard 250 is inside exactly once and whole;
one whose client heard anything else is not inside, unless its server took it and its answer was
lost on the way (the server knows); nothing inside is incomplete; and when the storm is over the
proxy has all its places free and serves the next client as if nothing had been.
"""
import collections
import random
import re
import threading
import time

from support import client, mail
from support.harness import FIGURES, check, equal, test
from support.proc import wait_until
from support.server import CLOSE, HANG, RESET, Drip

STAGES = ('banner', 'ehlo', 'xforward', 'mail', 'rcpt', 'data', 'body', 'dot', 'rset', 'noop')
MOODS = (CLOSE, RESET, HANG, b'\xff\xfe\r\n', b'421 4.3.2 bye\r\n', b'451 4.3.0 no\r\n',
         b'554 5.0.0 no\r\n', b'250 2.0.0 ok\r\n', b'354 go\r\n', b'250-a\r\n250 b\r\n',
         (b'250 o', CLOSE), Drip(b'250 2.0.0 slow\r\n', 0.01))
KINDS = ('plain', 'plain', 'plain', 'pipelined', 'pieces', 'large', 'leaves', 'resets', 'rset',
         'rubbish', 'bare-newlines', 'several')


class Storm:
    def __init__(self, seed, servers, proxy):
        self.dice = random.Random(seed)
        self.servers = servers
        self.proxy = proxy
        self.lock = threading.Lock()
        self.count = 0
        self.heard = {}       # identity: code of the final answer, None if the client left
        self.texts = {}
        self.over = threading.Event()
        self.broken = []

    def new_message(self, size):
        with self.lock:
            self.count += 1
            identity = 'soak%d' % self.count
        text = mail.message(identity, size)
        self.texts[identity] = text
        self.heard[identity] = None
        return identity, text

    def run_client(self, dice):
        while not self.over.is_set():
            kind = dice.choice(KINDS)
            try:
                self.one(kind, dice)
            except (client.Gone, OSError):
                pass
            except (client.Late, client.BadReply) as what:
                with self.lock:
                    self.broken.append('%s: %s' % (kind, what))

    def envelope(self, session, dice):
        """The route's number if the proxy said 250 to everything."""
        route = dice.randrange(len(self.servers))
        reply = session.envelope('a@example.com', 'u@r%d.example' % route)
        if reply is not None:
            return False
        return True

    def one(self, kind, dice):
        size = dice.randrange(200, 20000) if kind != 'large' else dice.randrange(1 << 18, 1 << 20)
        with client.Client(self.proxy.address, 30) as session:
            if session.greet().code != 250:
                return
            for _ in range(dice.randrange(2, 5) if kind == 'several' else 1):
                if kind == 'rubbish':
                    self.rubbish(session, dice)
                    return
                identity, text = self.new_message(size)
                if kind == 'pipelined':
                    self.pipelined(session, dice, identity, text)
                    return
                if not self.envelope(session, dice):
                    return
                if kind == 'rset':
                    session.command('RSET')
                    return
                if session.command('DATA').code != 354:
                    return
                wire = client.stuff(text)
                if kind == 'bare-newlines':
                    wire = wire.replace(b'\r\n\r\n', b'\r\n\r\nbare\nline\n.\nx\r\n', 1)
                    self.texts[identity] = text.replace(
                        b'\r\n\r\n', b'\r\n\r\nbare\r\nline\r\n.\r\nx\r\n', 1)
                if kind in ('leaves', 'resets'):
                    session.send(wire[:dice.randrange(len(wire))])
                    if kind == 'resets':
                        session.reset()
                    return
                if kind == 'pieces':
                    at = 0
                    while at < len(wire):
                        step = dice.randrange(1, 4000)
                        session.send(wire[at:at + step])
                        at += step
                else:
                    session.send(wire)
                self.heard[identity] = session.reply().code
            session.quit()

    def pipelined(self, session, dice, identity, text):
        route = dice.randrange(len(self.servers))
        session.send(b'MAIL FROM:<a@example.com>\r\nRCPT TO:<u@r%d.example>\r\nDATA\r\n' % route)
        replies = [session.reply().code for _ in range(3)]
        if replies[2] != 354:
            return
        session.send(client.stuff(text) + b'QUIT\r\n')
        self.heard[identity] = session.reply().code

    def rubbish(self, session, dice):
        for _ in range(dice.randrange(1, 6)):
            data = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 300)))
            session.send(dice.choice([data, b'MAIL FROM:<' + data, b'RCPT TO:<a@b> ' + data,
                                      b'NOOP ' + b'x' * dice.randrange(5000)]) + b'\r\n')
            session.fill(0.01)

    def run_moods(self, dice):
        """Every now and then a server is in a mood, for one occasion."""
        while not self.over.wait(0.01):
            server = dice.choice(self.servers)
            server.fault(dice.choice(STAGES), dice.choice(MOODS), times=1)
            if dice.random() < 0.02:
                server.drop(dice.choice((CLOSE, RESET)))


def identity_of(body):
    match = re.search(rb'Message-ID: <(soak\d+)@', body)
    return match.group(1).decode() if match else None


@test(seconds=90)
def storm(t):
    seconds, seed = (60, int(time.time())) if t.full else (8, 20)
    servers = [t.server(body_after=2000) for _ in range(4)]
    lines = ['relay r%d.example to %s connections 8' % (i, s.address)
             for i, s in enumerate(servers)]
    proxy = t.postern(lines=lines + ['limit sessions 60', 'timeout relay-connect 1',
                                     'timeout relay-command 1 relay-data 2', 'hold 64K'])
    weather = Storm(seed, servers, proxy)
    crew = [threading.Thread(target=weather.run_client, args=(random.Random(seed + i),))
            for i in range(30)]
    crew.append(threading.Thread(target=weather.run_moods, args=(random.Random(seed - 1),)))
    for member in crew:
        member.start()
    time.sleep(seconds)
    weather.over.set()
    for server in servers:
        server.heal()
    for member in crew:
        member.join(40)
    check(proxy.proc.running(), 'seed %d: postern has ended: %s', seed, proxy.proc.text[-2000:])
    equal(weather.broken, [], 'seed %d: strange replies' % seed)
    for server in servers:
        server.drop()

    taken, complete = collections.Counter(), collections.Counter()
    for server in servers:
        for message in server.messages:
            identity = identity_of(message.body)
            check(identity in weather.texts, 'unknown message inside: %r', message.body[:200])
            problem = mail.difference(weather.texts[identity], message.body)
            check(problem is None, 'seed %d: %s damaged: %s', seed, identity, problem)
            complete[identity] += 1
            taken[identity] += message.taken
    twice = [i for i, n in taken.items() if n > 1]
    equal(twice, [], 'seed %d: taken twice' % seed)
    wrong = ['%s heard %s' % (i, code) for i, code in weather.heard.items()
             if code == 250 and complete[i] != 1]
    equal(wrong, [], 'seed %d: 250 without a message inside' % seed)
    answers = collections.Counter(weather.heard.values())
    check(answers[250] > 20, 'seed %d: hardly anything was delivered: %s', seed, answers)

    FIGURES.append('soak, seed %d: %d messages begun, %d answered 250, %d otherwise, %d clients left'
                   % (seed, weather.count, answers[250], sum(
                       n for code, n in answers.items() if code not in (250, None)),
                      answers[None]))

    # one honest delivery by each route, and all places free
    for number in range(len(servers)):
        def works(route=number):
            return client.deliver(proxy.address, 'a@example.com', 'u@r%d.example' % route,
                                  mail.message('soak0', 300))[1].code == 250
        weather.texts['soak0'] = mail.message('soak0', 300)
        check(wait_until(works, 10, 0.3), 'seed %d: route %d does not work any more', seed, number)
    clients = []

    def all_free():
        while clients:
            clients.pop().close()
        for _ in range(60):
            clients.append(client.Client(proxy.address))
            if clients[-1].reply().code != 220:
                return False
        return True
    free = wait_until(all_free, 10, 0.5)
    for session in clients:
        session.close()
    check(free, 'seed %d: sessions are still taken', seed)
