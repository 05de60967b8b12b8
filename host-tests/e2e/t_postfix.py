"""A real Postfix inside: one that trusts us too much, and one with its default settings."""
import re
import time

from support import client, mail, postfix
from support.harness import check, equal, table, test
from support.proc import wait_until

# every way to write "user at outside" so that a domain of ours stands at the end
TRICKS = [
    'user%outside.example@example.org',
    'user%outside.example%example.org@example.org',
    'outside.example!user@example.org',
    'example.org!outside.example!user@example.org',
    '"user@outside.example"@example.org',
    '"user%outside.example"@example.org',
    '"outside.example!user"@example.org',
    '"user\\@outside.example"@example.org',
    '"user\\%outside.example"@example.org',
    '"us\\er@outside.example"@example.org',
    'user@outside.example@example.org',
    '@example.org:user@outside.example',
    '@example.org,@outside.example:user@example.org',
    '@outside.example:user@example.org',
    '@outside.example,@example.org:user%outside.example@example.org',
    'user%outside.example@[127.0.0.1]',
    'user@outside.example',
    'user@[127.0.0.1]',
    'user%outside.example',
    'outside.example!user',
    '"user@outside.example"',
    'postmaster%outside.example@example.org',
    '"postmaster@outside.example"@example.org',
    'user%40outside.example@example.org',
    'user\\@outside.example@example.org',
    '"user@outside.example"@EXAMPLE.ORG.',
    'user@outside.example,u@example.org',
    'user@outside.example>,<u@example.org',
    'user@outside.example\x00@example.org',
    'user@outside.example\t@example.org',
    '(comment)user%outside.example@example.org',
    'user%outside.example(c)@example.org',
    '"user@outside.example" @example.org',
    'user"@outside.example"@example.org',
    '"".user%outside.example@example.org',
    'user%outside.example@sub.example.org',
    '=?utf-8?q?user=40outside.example?=@example.org',
    'user\uff05outside.example@example.org',
    'user\uff20outside.example@example.org',
    '|user@outside.example',
    'user;outside.example@example.org',
    'user:outside.example@example.org',
]


@test(seconds=60)
def nothing_relayed_outward(t):
    """Postern's address is in Postfix' mynetworks; `outside` stands for the Internet."""
    outside = t.smtp_sink()
    inside = postfix.Postfix(t, outside=outside.port)
    proxy = t.postern(inside.address)
    accepted = []
    for number, trick in enumerate(TRICKS):
        with client.Client(proxy.address) as session:
            session.greet()
            equal(session.command('MAIL FROM:<a@example.com>').code, 250, 'MAIL')
            try:
                reply = session.command(b'RCPT TO:<' + trick.encode() + b'>')
                if reply.code // 100 == 2:
                    accepted.append(trick)
                    session.data(b'Subject: trick %d\r\n\r\nx\r\n' % number)
            except client.Gone:
                pass
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'user@example.org',
                                  b'Subject: ordinary\r\n\r\nx\r\n')
    equal((stage, reply.code), ('eod', 250), 'ordinary mail: %s' % reply)
    check(wait_until(lambda: any(b'ordinary' in m for m in inside.messages()), 10),
          'ordinary mail is not inside: %s', inside.log[-800:])
    wait_until(lambda: inside.queue_count() == 0, 5)
    equal(outside.recipients(), [], 'relayed outward (accepted: %s)' % accepted)
    check(not re.search(r'relay=(?!virtual|none)\S+, .*status=', inside.log),
          'Postfix tried to relay: %s', inside.log[-1500:])
    # and the trap is armed: straight to Postfix the simplest trick does get out
    stage, reply = client.deliver((inside.port.host, inside.port.number), 'a@example.com',
                                  'user@outside.example', b'Subject: trap\r\n\r\nx\r\n')
    equal(reply.code, 250, 'the trap')
    check(wait_until(lambda: outside.recipients() == [b'user@outside.example'], 10),
          'the trap does not work: %s', inside.log[-800:])


ENDS = [b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r\n.\r', b'\r.\r\n', b'\n.\r', b'\r.\n',
        b'\r\r\n.\r\r\n', b'\r\n.\r\r\n', b'\r\n\x00.\r\n', b'\r\n.\x00\r\n', b'\n\r\n.\n\r\n',
        b'\n\n.\r\n', b'\r\n..\n', b'\r\n.\x0b\r\n', b'\r\n.\xc2\x85\r\n', b'\x85.\x85',
        b'\r\n. \r\n', b'\r\n.\t\r\n', b'\r\n .\r\n', b'\r\n\r.\r\n', b'\r\n.\n\r\n']


@test(seconds=60)
def smuggling(t):
    """Whatever stands where the end of data could be seen: as many messages as 250s."""
    inside = postfix.Postfix(t)
    proxy = t.postern(inside.address)
    answered = 0
    for number, end in enumerate(ENDS):
        with client.Client(proxy.address) as session:
            session.greet()
            check(session.envelope('a@example.com', 'user@example.org') is None, 'envelope')
            equal(session.command('DATA').code, 354, 'DATA')
            session.send(b'Subject: first %d\r\n\r\none' % number + end +
                         b'MAIL FROM:<smuggled@evil.example>\r\nRCPT TO:<user@example.org>\r\n'
                         b'DATA\r\nSubject: smuggled %d\r\n\r\ntwo\r\n.\r\n' % number)
            reply = session.reply()
            answered += reply.code == 250
            check(reply.code == 250 or reply.code >= 400, '%r answered %s', end, reply)
            try:
                extra = session.reply(0.15)
                check(extra.code == 421, '%r: a second reply %s', end, extra)
            except (client.Late, client.Gone):
                pass
    wait_until(lambda: len(inside.messages()) >= answered and inside.queue_count() == 0, 15)
    time.sleep(0.3)
    got = inside.messages()
    equal(len(got), answered, 'messages inside')
    check(not any(re.search(rb'(?m)^Return-Path: <smuggled', m) for m in got), 'smuggled mail')


@table([('plain', 3000), ('large', 2 << 20)], seconds=40)
def bytes_survive(t, name, size):
    inside = postfix.Postfix(t)
    proxy = t.postern(inside.address)
    text = mail.message('survive', size) + b'.\r\n..\r\nlast\r\n'
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'user@example.org', text)
    equal((stage, reply.code), ('eod', 250), 'reply %s' % reply)
    got = wait_until(inside.messages, 10)
    check(got and got[0].endswith(text.replace(b'\r\n', b'\n')), 'the message differs')


@test(seconds=40)
def client_named_by_xforward(t):
    """Postfix logs the client that Postern tells of, where it may."""
    inside = postfix.Postfix(t, settings=['smtpd_authorized_xforward_hosts = 127.0.0.0/8'])
    proxy = t.postern(inside.address)
    for source in ('127.0.0.7', '127.0.0.8'):
        stage, reply = client.deliver(proxy.address, 'a@example.com', 'user@example.org',
                                      b'Subject: x\r\n\r\n', source=source)
        equal((stage, reply.code), ('eod', 250), 'reply %s' % reply)
        check(wait_until(lambda: re.search(r'orig_client=\S*\[%s\]' % re.escape(t.seen(source)),
                                           inside.log), 5),
              'not in the log: %s', inside.log[-800:])


@test(seconds=40)
def unknown_user_refused_at_the_edge(t):
    inside = postfix.Postfix(t, settings=['virtual_mailbox_maps = inline:{user@example.org=box/}'])
    proxy = t.postern(inside.address)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'nobody@example.org', b'x\r\n')
    equal((stage, reply.code, reply.enhanced), ('rcpt', 550, '5.1.1'), 'reply %s' % reply)
    stage, reply = client.deliver(proxy.address, 'a@example.com', 'user@example.org', b'x\r\n')
    equal((stage, reply.code), ('eod', 250), 'reply %s' % reply)


@test(seconds=40)
def pool_against_postfix(t):
    """Eighty messages over a few connections; Postfix sees no protocol error."""
    inside = postfix.Postfix(t)
    proxy = t.postern(inside.address)
    for number in range(80):
        stage, reply = client.deliver(proxy.address, 'a@example.com', 'user@example.org',
                                      b'Subject: %d\r\n\r\nx\r\n' % number)
        equal((stage, reply.code), ('eod', 250), 'reply %s' % reply)
    check(wait_until(lambda: len(inside.messages()) == 80, 15), '%d inside',
          len(inside.messages()))
    subjects = {re.search(rb'(?m)^Subject: (\d+)', m).group(1) for m in inside.messages()}
    equal(len(subjects), 80, 'different messages')
    check(not re.search(r'improper command|warning: |panic|fatal', inside.log),
          'Postfix complains: %s', inside.log[-800:])
    connects = len(re.findall(r' connect from ', inside.log))
    check(connects < 20, '%d connections for 80 messages', connects)
