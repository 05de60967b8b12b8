"""`postern sink`, the embedded internal server, spoken to directly."""
import os
import time

from support import client, mail
from support.harness import check, equal, table, test
from support.proc import wait_until

KERNEL_ONLY = 'nobody connects to Postern'

TEXT = mail.message('sink', 1500) + b'.\r\n..x\r\n\xff\x00\r\n'


def address_of(text):
    host, port = text.rsplit(':', 1)
    return (host, int(port))


def send(address, text=TEXT, **options):
    return client.deliver(address_of(address), 'a@example.com', 'u@example.org', text, **options)


@test()
def keeps_bytes(t):
    _, address, directory = t.sink()
    equal(send(address)[1].code, 250, 'reply')
    # stored before the 250: no waiting here
    got = list(mail.maildir(directory).values())
    equal(got, [TEXT], 'file')


@test()
def many_clients(t):
    import concurrent.futures
    _, address, directory = t.sink()
    texts = [mail.message('m%d' % i, 3000) for i in range(200)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        codes = [reply.code for _, reply in pool.map(lambda x: send(address, x), texts)]
    equal(codes, [250] * 200, 'replies')
    equal(sorted(mail.maildir(directory).values()), sorted(texts), 'files')


@test()
def nothing_of_an_incomplete_message(t):
    _, address, directory = t.sink()
    session = client.Client(address_of(address))
    session.greet()
    check(session.envelope('a@example.com', 'u@example.org') is None, 'envelope')
    equal(session.command('DATA').code, 354, 'DATA')
    session.send(client.stuff(TEXT)[:-2])
    session.close()
    time.sleep(0.3)
    equal(len(mail.maildir(directory)), 0, 'files')


@test()
def ends_after_count(t):
    process, address, _ = t.sink('--count', '3')
    for _ in range(3):
        equal(send(address)[1].code, 250, 'reply')
    equal(process.wait(5), 0, 'exit status')


@test()
def free_port(t):
    """Port 0: it says which one it got."""
    process = t.process([t.binary, 'sink', '--listen', '127.0.0.1:0'], name='sink')
    match = process.wait_line(r'ready 127\.0\.0\.1:(\d+)', 5)
    check(match and int(match.group(1)) > 0, process.text)
    equal(send('127.0.0.1:' + match.group(1))[1].code, 250, 'reply')


REPLIES = [('connect', 'connect'), ('ehlo', 'ehlo'), ('mail', 'mail'), ('rcpt', 'rcpt'),
           ('data', 'data'), ('eod', 'eod')]


@table(REPLIES)
def fault_reply(t, name, stage):
    _, address, directory = t.sink('--fault', '%s=reply:451 4.3.0 told so' % stage)
    at, reply = send(address)
    equal((at, reply.code), (stage, 451), 'reply %s' % reply)
    check('told so' in reply.text, 'text %s', reply)
    equal(len(mail.maildir(directory)), 0, 'files')


@table(REPLIES)
def fault_close(t, name, stage):
    _, address, directory = t.sink('--fault', '%s=x1:close' % stage)
    try:
        at, reply = send(address)
        check(False, 'not closed: %s %s', at, reply)
    except (client.Gone, OSError):
        pass
    equal(send(address)[1].code, 250, 'the second time')
    equal(len(mail.maildir(directory)), 1, 'files')


@table(REPLIES)
def fault_garbage(t, name, stage):
    _, address, _ = t.sink('--fault', stage + '=garbage')
    try:
        at, reply = send(address)
        check(False, 'a reply: %s %s', at, reply)
    except client.BadReply:
        pass
    except (client.Late, client.Gone) as what:
        check('have b\'\'' not in str(what), 'nothing came: %s', what)


@table(REPLIES)
def fault_hang(t, name, stage):
    process, address, _ = t.sink('--fault', stage + '=hang')
    try:
        at, reply = send(address, seconds=1)
        check(False, 'a reply: %s %s', at, reply)
    except client.Late:
        pass
    check(process.running(), 'ended')


@test()
def fault_slow(t):
    _, address, directory = t.sink('--fault', 'data=slow:20000')
    text = mail.message('slow', 60000)
    started = time.monotonic()
    equal(send(address, text)[1].code, 250, 'reply')
    check(time.monotonic() - started > 1.5, 'took only %.1f s', time.monotonic() - started)
    equal(list(mail.maildir(directory).values()), [text], 'file')


@test()
def bad_arguments(t):
    for arguments in (['--fault', 'nowhere=close'], ['--fault', 'mail=explode'],
                      ['--listen', 'x'], ['--maildir']):
        process = t.process([t.binary, 'sink'] + arguments, name='sink')
        status = process.wait(5)
        check(status not in (None, 0), '%s: status %s', arguments, status)


@test()
def maildir_is_made(t):
    directory = os.path.join(t.scratch, 'not', 'there')
    os.mkdir(os.path.dirname(directory))
    port = t.port()
    process = t.process([t.binary, 'sink', '--listen', str(port), '--maildir', directory])
    check(process.wait_line('ready', 5), process.text)
    equal(send(str(port))[1].code, 250, 'reply')
    check(wait_until(lambda: len(mail.maildir(directory)) == 1, 2), 'no file')
