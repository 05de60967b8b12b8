#!/usr/bin/python3
"""Breaks the proxy on purpose and sees whether the simulator notices.

    mutants.py [--out BUILD_DIR] [--sessions 10000] [--only NAME]

A mutant is a copy of one source with a place of it changed; it is compiled by the command that the
build uses, and linked in front of the library that holds the original. The sources themselves have
no switch for it. Each must be caught within so many sessions, and its place must still be there.
"""
import argparse
import concurrent.futures
import functools
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECONDS = 300

# name, file, what stands there, what shall stand there
MUTANTS = [
    ('the final dot is sent before the message is whole', 'firmware/proxy/txn.c',
     'bool with_dot = txn->phase == PST_TXN_COMMIT;',
     'bool with_dot = txn->phase == PST_TXN_COMMIT || txn->phase == PST_TXN_STREAM;'),
    ('the ledger never finds anything', 'firmware/proxy/txn_fates.c',
     'whole->served = pst_ledger_take(ledger, envelope, txn->content_hash, now_ms) / 100 == 2;',
     'whole->served = false; (void)envelope; (void)now_ms;'),
    ('RSET does not wait for the reply that is due', 'firmware/relay/relay_conn.c',
     'return core->caps.set & PST_SMTP_CAP_PIPELINING;\n\tdefault:\n\t\treturn false;',
     'default:\n\t\treturn true;'),
    ('a client that was held back is not told of room', 'firmware/proxy/txn.c',
     'txn->paused = false;\n\tif (txn->session)\n\t\ttxn->owner->on_room(txn->session);',
     'txn->paused = false;\n\tif (!txn->session)\n\t\ttxn->owner->on_room(txn->session);'),
    ('250 is said when the dot is out, not when it is answered', 'firmware/proxy/txn.c',
     'txn->phase = PST_TXN_FINAL;\n',
     'txn->phase = PST_TXN_FINAL;\n'
     '\t\tif (txn->session) {\n'
     '\t\t\tvoid *session = txn->session;\n'
     '\t\t\tstruct pst_smtp_reply reply = {250, {2, 0, 0}, PST_SPAN("Ok, delivered")};\n\n'
     '\t\t\ttxn->session = NULL;\n'
     '\t\t\ttxn->client_code = 250;\n'
     '\t\t\ttxn->owner->on_final(session, &reply);\n'
     '\t\t}\n'),
    ('a buffer goes back to its pool twice', 'firmware/link/link.c',
     'pst_pool_put(pool, buf->area);\n\tpst_buf_init(buf, NULL, 0);\n}\n\nstatic void give_back',
     'pst_pool_put(pool, buf->area);\n\tpst_pool_put(pool, buf->area);\n'
     '\tpst_buf_init(buf, NULL, 0);\n}\n\nstatic void give_back'),
    ('who has not logged in may send mail', 'firmware/smtp/arguments.c',
     'if (core->submission && !core->authenticated)', 'if (core->submission && false)'),
    ('a login of nobody in particular is used', 'firmware/relay/relay_place.c',
     'if (tx->private) {', 'if (tx->private && !tx->private->conn) {'),
    ('a wrong password is taken', 'firmware/proxy/session_auth.c',
     '} else if (code == 235) {', '} else if (code == 235 || code == 535) {'),
    ('trouble inside is told as a wrong password', 'firmware/proxy/session_auth.c',
     'return; /* told at the next MAIL */\n\tlog_login(session, "login_failed", 0, reason);\n'
     '\tanswer_for(session, PST_REASON_login_failed);',
     'return;\n\tlog_login(session, "login_failed", 0, reason);\n'
     '\tanswer_for(session, PST_REASON_login_refused);'),
    ('what a user says to log in is logged', 'firmware/proxy/session_auth.c',
     'session->auth_len = event->line.len + 2;',
     'session->auth_len = event->line.len + 2;\n'
     '\tpst_log_begin(session->proxy->env.log, PST_LOG_INFO, "login");\n'
     '\tpst_log_peer(session->proxy->env.log, "line", event->line);\n'
     '\tpst_log_end(session->proxy->env.log);'),
    ('anybody\'s mail goes where users log in', 'firmware/proxy/txn_rcpt.c',
     'if (txn->facts.set & PST_FACT_SUBMITTED)\n\t\troute = conf->submission;',
     'if (conf->submission)\n\t\troute = conf->submission;'),
    ('a user\'s mail is judged', 'firmware/proxy/txn_judge.c',
     'void pst_txn_judge(struct pst_txn *txn)\n{\n\tif (txn->facts.set & PST_FACT_SUBMITTED) {',
     'void pst_txn_judge(struct pst_txn *txn)\n{\n\tif (txn->facts.set & PST_FACT_SUBMITTED && !pst_txn_rules(txn)) {'),
    ('a score that is just reached does not count', 'firmware/policy/policy.c',
     'if (facts->hits.score >= conf->lines[action])', 'if (facts->hits.score > conf->lines[action])'),
    ('what is refused by score goes inside', 'firmware/proxy/txn_judge.c',
     'txn->reason = (uint8_t)refused_as(txn);', 'txn->reason = PST_REASON_none;'),
    ('a rule that hits is forgotten', 'firmware/proxy/txn_judge.c',
     'for (uint32_t i = 0; i < run->hit_count; i++) {', 'for (uint32_t i = 1; i < run->hit_count; i++) {'),
    ('a marked message is marked twice', 'firmware/proxy/headers.c',
     'int ret = trace->spam ? pst_buf_put_text(out, "X-Spam-Flag: YES\\r\\n") : 0;',
     'int ret = trace->spam ? pst_buf_put_text(out, "X-Spam-Flag: YES\\r\\nX-Spam-Flag: YES\\r\\n") : 0;'),
    ('the header says another score', 'firmware/proxy/headers.c',
     'pst_score score = facts->hits.score;', 'pst_score score = facts->hits.score + 100;'),
]


@functools.lru_cache(maxsize=None)
def command_of(out, source, target):
    """What make would run, last, to make the target if the source had changed."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'MAKEOVERRIDES')}
    told = subprocess.run(['make', 'SET_UP=done', 'V=1', '-n', 'O=' + out, '-W', source, target],
                          cwd=TOP, env=environment, check=True, text=True, stdout=subprocess.PIPE)
    return told.stdout.strip().replace('\\\n', ' ').split('\n')[-1].split()


def swapped(words, old, new):
    return [new if word == old else word for word in words]


def build(out, folder, mutant):
    """The mutated simulator's path."""
    _, source, old, new = mutant
    with open(os.path.join(TOP, source), encoding='utf-8') as file:
        text = file.read()
    if text.count(old) != 1:
        raise ValueError('%s holds its place %d times, not once' % (source, text.count(old)))
    os.makedirs(os.path.join(TOP, folder), exist_ok=True)
    copy = '%s/%s' % (folder, os.path.basename(source))
    with open(os.path.join(TOP, copy), 'w', encoding='utf-8') as file:
        file.write(text.replace(old, new))
    unit, program = out + '/' + source[:-2] + '.o', out + '/host-tests/sim/sim'
    compiled = command_of(out, source, unit)
    compiled = swapped(swapped(compiled, source, copy), unit, copy + '.o')
    subprocess.run(compiled, cwd=TOP, check=True)
    linked = swapped(command_of(out, 'host-tests/sim/main.c', program), program, folder + '/sim')
    place = linked.index(folder + '/sim')
    linked.insert(place + 1, copy + '.o')
    subprocess.run(linked, cwd=TOP, check=True)
    return folder + '/sim'


def try_one(options, number):
    mutant = MUTANTS[number]
    folder = '%s/mutants/%d' % (options.out, number)
    try:
        program = build(options.out, folder, mutant)
        done = subprocess.run([program, '-s', str(options.sessions), '-e', '0'], cwd=TOP,
                              check=False, timeout=SECONDS, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors='replace')
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return False, '%s: %s' % (mutant[0], error)
    lines = [line for line in done.stdout.split('\n') if line.startswith('seed ')]
    if done.returncode == 0 or not lines:
        return False, '%s: not noticed: %s' % (mutant[0], done.stdout.strip())
    return True, '%s: %s' % (mutant[0], lines[0])


def main():
    parser = argparse.ArgumentParser(description='break the proxy, see it noticed')
    parser.add_argument('--out', default='build/host')
    parser.add_argument('--sessions', type=int, default=10000)
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    numbers = [i for i, mutant in enumerate(MUTANTS) if options.only in mutant[0]]
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for good, text in pool.map(lambda number: try_one(options, number), numbers):
            passed += good
            print(text if good else 'FAILED ' + text, flush=True)
    print('%d passed, %d failed' % (passed, len(numbers) - passed))
    return 1 if passed < len(numbers) else 0


if __name__ == '__main__':
    sys.exit(main())
