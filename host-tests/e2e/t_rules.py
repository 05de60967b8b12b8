"""Rules of a file through the real program: what the reader finds in the message, what the sender hears, what is logged."""
import os

from support import client, mail
from support.harness import check, equal, table, test
from t_life import reload

OURS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'rules'))
RULES = '''
header   T_LUNCH    Subject =~ /\\blunch\\b/i
describe T_LUNCH    Somebody is hungry
score    T_LUNCH    6
header   T_POISON   Subject =~ /\\bpoison\\b/i
score    T_POISON   20
header   __T_HELO   X-Spam-Relays-SIDE =~ /^\\[ ip=\\d+\\.\\d+\\.\\d+\\.1 rdns=\\S* helo=pc\\.example /
header   __T_FROM   EnvelopeFrom =~ /^a\\@sender\\.example/
meta     T_LIVE     __T_HELO && __T_FROM
score    T_LIVE     0.5
'''


def write(t, text, name='site.cf'):
    path = os.path.join(t.directory('rules'), name)
    with open(path, 'w', encoding='ascii') as stream:
        stream.write(text)
    return path


def proxy_of(t, *lines):
    _, target, t.maildir = t.sink()
    return t.postern(target, lines=['trust none', *lines])


def send(proxy, subject, more=b''):
    session = client.Client(proxy.address)
    try:
        session.reply()
        session.command('EHLO pc.example')
        equal(session.command('MAIL FROM:<a@sender.example>').code, 250, 'MAIL')
        equal(session.command('RCPT TO:<user@example.org>').code, 250, 'RCPT')
        reply = session.data(b'From: a@sender.example\r\nTo: user@example.org\r\nSubject: ' + subject + b'\r\n' +
                             more + b'\r\ntext\r\n')
        session.quit()
        return reply
    finally:
        session.close()


def header(t):
    got = list(mail.maildir(t.maildir).values())
    equal(len(got), 1, 'messages')
    return got[0].split(b'\r\n\r\n')[0].decode()


@test()
def over_tag_arrives_with_the_headers(t):
    # 127.0.0.0/8 is trusted by everyone who speaks this language; our own TCP/IP sees another client.
    side = 'Trusted' if t.transport == 'kernel' else 'Untrusted'
    proxy = proxy_of(t, 'rules ' + write(t, RULES.replace('SIDE', side)))
    equal(send(proxy, b'free lunch', b'X-Spam-Flag: NO\r\nX-Spam-Status: No, score=-9\r\n').code, 250, 'reply')
    text = header(t)
    for words in ('X-Spam-Flag: YES', 'X-Spam-Level: ******', 'X-Spam-Status: Yes, score=6.5 required=5.0'):
        check(words in text, 'no %s in %s', words, text)
    check('T_LUNCH' in text and 'T_LIVE' in text, 'names: %s', text)
    check('X-Spam-Flag: NO' not in text and 'score=-9' not in text, "the sender's own are gone: %s", text)
    record, = proxy.wait_log()
    equal((record['verdict'], record['score']), ('tag', '6.5'), 'record')


@test()
def over_reject_is_refused(t):
    proxy = proxy_of(t, 'rules ' + write(t, RULES))
    reply = send(proxy, b'poison')
    equal(reply.code, 550, 'code')
    check('5.7.1' in reply.text and 'spam' in reply.text.lower(), 'words: %s', reply.text)
    check('T_POISON' not in reply.text, 'no names of rules to the sender: %s', reply.text)
    equal(mail.maildir(t.maildir), {}, 'messages')
    record, = proxy.wait_log()
    equal((record['verdict'], record['outcome']), ('reject', 'refused'), 'record')
    check('T_POISON' in record['hits'], 'hits: %s', record)


@table([('tag', 'poison', True), ('observe', 'poison', False), ('observe', 'lunch', False)])
def modes_that_refuse_nothing(t, mode, subject, tagged):
    proxy = proxy_of(t, 'rules ' + write(t, RULES), 'mode ' + mode)
    equal(send(proxy, subject.encode()).code, 250, 'reply')
    equal('X-Spam-Flag: YES' in header(t), tagged, 'flag: ' + header(t))
    record, = proxy.wait_log()
    equal(record.get('earned', record['verdict']), 'reject' if subject == 'poison' else 'tag', 'the log tells it')


@test()
def our_own_rules_pass_and_catch(t):
    proxy = proxy_of(t, 'rules ' + OURS)
    good = (b'Date: Thu, 12 Nov 2026 10:20:21 +0000\r\nMessage-ID: <20261112102021.GA4711@sender.example>\r\n')
    equal(send(proxy, b'Lunch on Friday', good).code, 250, 'good')
    check('X-Spam-Flag' not in header(t), 'good: %s', header(t))
    reply = send(proxy, b'FREE VIAGRA, LOWEST RATES, WORK FROM HOME!!!            qwx81',
                 b'X-MSMail-Priority: High\r\nDate: Thu, 12 Nov 2026 10:20:21 -1800\r\nContent-Type: text/html\r\n'
                 b'Message-ID: 1\r\n')
    check(reply.code in (250, 550), 'bad: %s', reply)
    good_one, bad = proxy.wait_log(count=2)
    equal(good_one['verdict'], 'accept', 'good one')
    check(float(bad['score']) >= 10, 'bad: %s', bad)


@test()
def bad_rules_are_named_and_mail_goes_on(t):
    path = write(t, RULES + '''
header T_BROKEN Subject =~ /(unclosed/
meta   T_ROUND  T_ROUND2
meta   T_ROUND2 T_ROUND
header T_SLOW   Subject =~ /^(?:a+)+$/
score  T_SLOW   0.1
''')
    proxy = proxy_of(t, 'rules ' + path)
    told = '\n'.join(proxy.proc.lines)
    check('site.cf:' in told and 'T_BROKEN' in told, 'told: %s', told)
    equal(send(proxy, b'a' * 40 + b'! lunch').code, 250, 'reply')
    check('T_LUNCH' in header(t), 'header: %s', header(t))


@test()
def a_reload_brings_new_rules_and_keeps_old_ones_if_it_fails(t):
    path = write(t, RULES)
    proxy = proxy_of(t, 'rules ' + path)
    with open(path, 'w', encoding='ascii') as stream:
        stream.write(RULES.replace('20', '0.1'))
    reload(proxy, proxy.config, r'(?i)reload|generation|configuration')
    equal(send(proxy, b'poison').code, 250, 'after the reload')
    os.unlink(path)
    reload(proxy, proxy.config, r'site\.cf')
    equal(send(proxy, b'lunch').code, 250, 'reply')
    first, second = proxy.wait_log(count=2)
    equal((first['verdict'], second['verdict']), ('accept', 'tag'), 'verdicts')
