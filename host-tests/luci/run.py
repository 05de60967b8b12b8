#!/usr/bin/python3
"""LuCI's pages for Postern in headless Chromium: what they show of a program that runs, what they make of settings,
whom they let do what.

    run.py --postern BINARY --out BUILD_DIR [--only PART[,PART]] [--times]

The device is a stand-in (device.py, runtime/); the program, its init script and postern-config are real. Pictures of
all pages are written to BUILD_DIR/luci/. The last line is `N passed, N failed`, or `0 passed, 0 failed, 1 skipped`
without a browser.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]
from browser import Browser, BrowserError               # noqa: E402
from device import ACL, APP, FILES, TOP, Device, read   # noqa: E402
from support import client                              # noqa: E402
from support.dnsd import Dnsd                           # noqa: E402
from support.proc import Port, wait_until               # noqa: E402
from support.server import Server                       # noqa: E402

BASE = '/cgi-bin/luci/admin/services/postern/'
PHONE = (360, 740, True)
DESKTOP = (1200, 900, False)
# Each would raise a dialog or change the page if it became HTML.
HOSTILE_SENDER = '"<img src=x onerror=alert(1)>"@evil.example'
HOSTILE_RCPT = '"<script>alert(2)</script>"@example.org'
HOSTILE_HOST = '<img/src=x/onerror=alert(3)>'
MESSAGE = (b'From: a@example.com\r\nTo: u@example.org\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\n'
           b'Message-ID: <1@example.com>\r\nSubject: %s\r\n\r\ntext\r\n')

UCI = """config postern 'main'
\toption enabled '1'
\toption hostname 'mx.example.org'
\tlist listen '%(listen)s'
\tlist trust 'none'
\toption early_talk '0'
\tlist resolver '%(resolver)s'
\toption mode 'tag'
\toption rules '1'
\tlist rules_more '%(rules)s'
\toption tag_score '5'
\toption sessions '50'

config relay
\tlist domain 'example.org'
\tlist server '%(server)s'

config relay
\tlist domain 'example.net'
\tlist server '%(dead)s'
\toption tls 'must'

config dnsbl
\toption zone 'good.example'
\toption score '0.5'

config dnsbl
\toption zone 'broken.example'
\toption score '4'
\toption dry_run '1'
"""
ZONE = """
1.0.0.127.in-addr.arpa PTR mail.example.com.
mail.example.com A 127.0.0.1
example.com MX 10 mail.example.com.
2.0.0.127.good.example A 127.0.0.2
good.example SOA ns.good.example. h.good.example. 1 2 3 4 60
1.0.0.127.broken.example A 127.0.0.2
2.0.0.127.broken.example A 127.0.0.2
"""

# Option, values that are fine, values that are not; both by the form and by the program.
VALUES = [
    ('main', 'hostname', ['mx.example.org', 'a-b.example'], ['a b', 'mx_1.example', '-a.example', 'a"b', 'x#', '1.2.3.4']),
    ('main', 'listen', ['127.0.0.1:2525', '[::1]:2525'], ['127.0.0.1', 'localhost:25', '127.0.0.256:25', '::1:25', '[::1]',
                                                          '127.0.0.1:65536', '0.0.0.0:25 tls', '[1::2::3]:25']),
    ('main', 'trust', ['192.168.0.0/16', '2001:db8::/32', '10.0.0.1'], ['192.168.0.0/33', '1.2.3', 'fd00::/129', 'all']),
    ('main', 'allow_client', ['192.0.2.7'], ['192.0.2.7/x', 'none', '01.2.3.4']),
    ('main', 'deny_client', ['198.51.100.0/24', '::1'], ['1.2.3.4 #', '1.2.3.4\\']),
    ('main', 'deny_sender', ['@spam.example', 'a@spam.example'], ['spam.example', '@', 'a@', 'a@b c']),
    ('main', 'deny_recipient', ['old@example.org'], ['@-x.example']),
    ('main', 'require_tls_from', ['bank.example'], ['@bank.example']),
    ('main', 'message', ['25M', '1K', '4G', '100000'], ['5X', '1023', '5G', 'M', '-1', '2.5M']),
    ('main', 'hold', ['64K'], ['0', '257M', '1KK']),
    ('main', 'hold_pool', ['4M'], ['63K', 'lots']),
    ('main', 'header', ['64K'], ['5M']),
    ('main', 'ledger', ['0', '512'], ['1000001', '-5', '1K']),
    ('main', 'recipients', ['200'], ['0', '50001', 'many']),
    ('main', 'hops', ['50'], ['0', '1001']),
    ('main', 'sessions', ['50', '65535'], ['many', '0', '65536']),
    ('main', 'per_client', ['5'], ['0', '1.5']),
    ('main', 'tarpit', ['4096', '0', '1048576'], ['fast', '1048577', '-1']),
    ('main', 'early_talk', ['3s', '0', '1500ms', '5'], ['soon', '61s', '2m', 's']),
    ('main', 'idle', ['2m', '1d', '1h'], ['0', '2d', '5 m']),
    ('main', 'resolver', ['192.0.2.53', '[2001:db8::53]:5353', '127.0.0.1:5353', 'off', 'system'],
     ['dns.example', '1.2.3.4:x', '8.8.8.8:99999']),
    ('main', 'dns_cache', ['256K'], ['15K', '257M']),
    ('main', 'spf_fail', ['3', '0', '-1.5'], ['high', 'off', '10000', '1x']),
    ('main', 'spf_softfail', ['1.5'], ['1,5']),
    ('main', 'tag_score', ['6', 'off'], ['high', '--1']),
    ('main', 'reject_score', ['off', '12.5'], ['never']),
    ('main', 'subject', ['[SPAM?] '], ['a"b', 'a\\b']),
    ('main', 'submission_to', ['192.0.2.10:587'], ['mail.example:587', '192.0.2.10']),
    ('relay', 'domain', ['example.com', '.example.com', '*'], ['..example.com', 'a b', '@example.com', 'example.123']),
    ('relay', 'server', ['192.0.2.10:25', '[fd00::25]:25', 'lmtp:192.0.2.11:24'],
     ['192.0.2.10', 'mail.example.org:25', 'smtp:192.0.2.1:25', 'lmtp:']),
    ('relay', 'connections', ['4'], ['0', '10001', 'x']),
    ('relay', 'verify', [], ['a b', '*.example.org']),
    ('relay', 'pin', ['sha256:' + 'ab' * 32, 'sha256:' + 'ab' * 32 + ',' + '0F' * 32],
     ['sha256:abc', 'md5:' + 'ab' * 32, 'ab' * 32, 'sha256:' + 'ab' * 32 + ',sha256:' + '0F' * 32]),
    ('dnsbl', 'zone', ['zen.example', 'key0123.bl.example'], ['a b', 'zen..example']),
    ('dnsbl', 'score', ['3', '-2'], ['lots', '1.2.3']),
    ('dnsbl', 'codes', ['127.0.0.2', '127.0.0.[2-9]', '127.0.*.2'],
     ['128.0.0.1', '127.0.0.[9-2]', '127.0.0', '127.0.0.2.3']),
]
LISTS = {'listen', 'trust', 'allow_client', 'deny_client', 'deny_sender', 'deny_recipient', 'require_tls_from', 'resolver',
         'domain', 'server', 'codes'}


class Failed(Exception):
    pass


def check(truth, text):
    if not truth:
        raise Failed(text)


def equal(got, want, what):
    if got != want:
        raise Failed('%s: got %r, want %r' % (what, got, want))


def js(value):
    return json.dumps(value)


def names_of(path, pattern):
    return re.findall(pattern, read(os.path.join(TOP, path)), re.M)


def options_table():
    """{(section, option): kind} of usr/share/postern/options."""
    rows = [line.split(None, 3) for line in read(os.path.join(FILES, 'usr/share/postern/options')).split('\n')]
    return {(row[0], row[1]): row[2] for row in rows if row and row[0] != '#'}


class Trial:
    def __init__(self, postern, out, scratch):
        self.out = os.path.join(out, 'luci')
        os.makedirs(self.out, exist_ok=True)
        self.postern = os.path.abspath(postern)
        self.scratch = scratch
        self.inside = Server()
        self.dead = Port()
        self.port = Port()
        self.dns = Dnsd(ZONE)
        rules = os.path.join(scratch, 'own.cf')
        with open(rules, 'w', encoding='ascii') as stream:
            stream.write('header OWN_SPAM Subject =~ /buy now/\nscore OWN_SPAM 6.5\n')
        self.uci = UCI % {'listen': self.port, 'resolver': self.dns.address, 'rules': rules, 'server': self.inside.address,
                          'dead': self.dead}
        self.device = Device(postern, os.path.join(scratch, 'device'), self.uci)
        self.browser = Browser(os.path.join(scratch, 'profile'))
        self.needed = set()

    def close(self):
        self.browser.close()
        self.device.close()
        self.inside.stop()
        self.dns.stop()

    # -- ways to the pages

    def open(self, page, shape=DESKTOP, role='write'):
        self.device.role = role
        self.browser.shape(*shape)
        self.browser.trouble.clear()
        self.browser.open(self.device.url + BASE + page)

    def begin(self, text=None, start=False):
        """The device anew: these settings, running or not."""
        self.device.stop()
        self.device.role = 'write'
        self.device.broken = None
        self.device.set_uci(text or self.uci)
        self.device.calls.clear()
        if start:
            status, _, err = self.device.script('start')
            check(status == 0 and self.device.is_running(), 'start: %s' % err)
            check(wait_until(lambda: self.status()['listeners'], 10), 'nothing is listened on')
        log = os.path.join(self.device.root, 'log')
        if os.path.exists(log):
            os.remove(log)

    def text(self):
        return self.browser.run('document.body.innerText')

    def content(self, selector):
        return self.browser.run('document.querySelector(%s).textContent' % js(selector))

    def count(self, selector):
        return self.browser.run('document.querySelectorAll(%s).length' % js(selector))

    def output(self, text):
        """Waits until the service's script has said this."""
        self.browser.wait('document.querySelector(".postern-output")?.textContent.includes(%s)' % js(text))

    def quiet(self):
        """No script failed, no dialog came, and everything came from the device."""
        equal(self.browser.trouble, [], 'trouble in the browser')
        foreign = [url for url in self.browser.urls if not url.startswith((self.device.url, 'about:', 'data:'))]
        equal(foreign, [], 'fetched from elsewhere')

    def narrow(self, what):
        """Nothing is wider than the phone."""
        wide = self.browser.run('''(() => {
            const most = document.documentElement.clientWidth;
            const wide = [ ...document.querySelectorAll('body *') ]
                .filter(one => one.getBoundingClientRect().right > most + 1)
                .map(one => one.tagName + '.' + one.className + ' ' + one.textContent.slice(0, 40));
            return [ most, document.documentElement.scrollWidth, wide.slice(0, 5) ];
        })()''')
        check(wide[0] == PHONE[0] and wide[1] <= wide[0] and not wide[2], '%s on a phone: %s' % (what, wide))

    def picture(self, name):
        self.browser.picture(os.path.join(self.out, name + '.png'))

    # -- ways within the settings

    def section(self, kind, number=0):
        if kind == 'main':
            return 'main'
        return [one['.name'] for one in self.device.uci.sections if one['.type'] == kind][number]

    def give(self, section, option, value):
        """Types a value as a user does; what the field then says is wrong, or ''. Lists get it as a further item."""
        field = 'widget.cbid.postern.%s.%s' % (section, option)
        return self.browser.run('''(() => {
            const input = document.getElementById(%s);
            input.value = %s;
            input.dispatchEvent(new Event('keyup', { bubbles: true }));
            input.dispatchEvent(new Event('blur'));
            return input.getAttribute('data-tooltip') ?? '';
        })()''' % (js(field), js(value)))

    def clear_list(self, section, option):
        self.browser.run('document.getElementById(%s).querySelectorAll(".item").forEach(one => one.click())'
                         % js('cbid.postern.%s.%s' % (section, option)))

    def press(self, selector):
        self.browser.run('document.querySelector(%s).click()' % js(selector))

    def save(self):
        """The settings as the device has them afterwards, or what the page says is wrong."""
        self.device.calls.clear()
        return self.browser.run('''(async () => {
            const map = L.dom.findClassInstance(document.querySelector('.cbi-map'));
            try {
                await map.save();
                return '';
            }
            catch (error) {
                return error.message;
            }
        })()''')

    def changes(self):
        """What was given to UCI: [method, section or type, values]."""
        return [(method, given.get('section') or given.get('type'), given.get('values') or given.get('options'))
                for name, method, given in self.device.calls
                if name == 'uci' and method in ('add', 'set', 'delete')]

    def rendered(self, text=None):
        """What postern-config makes of UCI's file: (status, stdout, stderr)."""
        path = os.path.join(self.scratch, 'uci')
        if text is None:
            self.device.uci.write()
            text = read(self.device.uci_path)
        with open(path, 'w', encoding='utf-8') as out:
            out.write(text)
        done = subprocess.run(['busybox', 'ash', os.path.join(FILES, 'usr/libexec/postern-config')], capture_output=True,
                              text=True, timeout=30, check=False,
                              env=dict(os.environ, IPKG_INSTROOT=self.device.root, UCI_FILE=path,
                                       POSTERN_OPTIONS=os.path.join(FILES, 'usr/share/postern/options')))
        return done.returncode, done.stdout, done.stderr

    def program_refuses(self, configuration):
        """What the program complains of: the rest of the line from there on, each."""
        path = os.path.join(self.scratch, 'checked.conf')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(re.sub(r'(?m)^(user|rules|control) .*\n', '', configuration))
        done = subprocess.run([self.postern, 'check', '-c', path], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode == 0:
            return []
        lines = read(path).split('\n')
        return [lines[int(line) - 1][int(column) - 1:] for line, column in
                re.findall(r'checked\.conf:(\d+):(\d+): (?!warning)', done.stderr)] or [done.stderr]

    def mail(self, sender, rcpt, subject=b'hello'):
        return client.deliver((self.port.host, self.port.number), sender, rcpt, MESSAGE % subject)[1].code

    # -- tests

    def files(self):
        """The menu leads to pages that are there; menu and access control speak of the same group."""
        menu = json.loads(read(os.path.join(APP, 'root/usr/share/luci/menu.d/luci-app-postern.json')))
        rights = json.loads(read(ACL))
        equal(list(rights), ['luci-app-postern'], 'group')
        top = menu['admin/services/postern']
        equal(top['depends']['acl'], list(rights), 'what the menu depends on')
        pages = [node['action']['path'] for node in menu.values() if node['action']['type'] == 'view']
        equal(sorted(pages), ['postern/settings', 'postern/status'], 'pages')
        for page in pages:
            path = os.path.join(APP, 'htdocs/luci-static/resources/view', page + '.js')
            check(os.path.isfile(path), 'there is no %s' % path)
        check(all(name.startswith('admin/services/postern') for name in menu), 'menu')
        for half in ('read', 'write'):
            for name in rights['luci-app-postern'][half]['file']:
                check('*' not in name and '?' not in name and '[' not in name, 'a pattern allows too much: %s' % name)

    def every_option(self):
        """The form has every option of the table, as one of the right kind with help, and no other."""
        self.begin()
        self.open('settings')
        shown = self.browser.run('''(() => {
            const map = L.dom.findClassInstance(document.querySelector('.cbi-map'));
            return map.children.flatMap(section => section.children.map(option => [ section.id ?? section.sectiontype,
                option.option, option.constructor.name, option.keylist ?? null, option.title, option.description ]));
        })()''')
        table = options_table()
        by_script = {('main', name) for name in
                     re.findall(r'config_get_bool \w+ main (\w+)', read(os.path.join(FILES, 'etc/init.d/postern')))}
        equal(by_script, {('main', 'enabled'), ('main', 'jail')}, 'what the init script reads by itself')
        names = [(row[0], row[1]) for row in shown]
        equal(len(names), len(set(names)), 'options named twice')
        equal(sorted(set(table) | by_script), sorted(names), 'options')
        equal(len(self.browser.run('[...new Set([...document.querySelectorAll("[data-field]")].map(one => '
                                   'one.dataset.field.replace(/cfg\\w+/, "")))]')),
              len({(section if section == 'main' else '', name) for section, name in names}), 'fields in the page')
        for section, name, kind, choices, title, help_text in shown:
            wanted = table.get((section, name), 'bool')
            check(len(title) > 2 and len(help_text) > 20, '%s has no help' % name)
            if wanted.startswith('choice:'):
                equal((kind, sorted(choices)), ('ListValue', sorted(wanted[7:].split('|'))), name)
            else:
                equal(kind, 'Flag' if wanted == 'bool' else 'DynamicList' if wanted.startswith('list-') else 'Value', name)
        self.quiet()

    def words(self):
        """Every reason and counter that the program knows is said in words."""
        text = read(os.path.join(APP, 'htdocs/luci-static/resources/view/postern/status.js'))
        for table, names in (('REASONS', names_of('firmware/policy/reasons.def', r'^PST_REASON\((\w+)')),
                             ('COUNTERS', names_of('firmware/base/counters.def', r'^PST_COUNTER\((\w+)')),
                             ('OUTCOMES', names_of('firmware/proxy/txn_record.c', r'\[PST_OUTCOME_\w+\] = \{"(\w+)"'))):
            check(names, 'no names for %s' % table)
            block = re.search(r'const %s = \{(.*?)\n\};' % table, text, re.S).group(1)
            equal(sorted(re.findall(r'^\t(\w+):', block, re.M)), sorted(names), table)

    def running(self):
        """A program that has had mail of each kind, hostile names among it."""
        self.begin(start=True)
        self.inside.heal()
        check(wait_until(lambda: [one['state'] for one in self.status()['lists']] == ['good', 'rests'], 10),
              'lists: %s' % self.status()['lists'])
        equal(self.mail('a@example.com', 'u@example.org'), 250, 'accepted')
        equal(self.mail(HOSTILE_SENDER, HOSTILE_RCPT), 250, 'hostile')
        equal(self.mail('b@example.com', 'u@example.org', b'buy now'), 250, 'tagged')
        equal(self.mail('', 'u@elsewhere.example'), 554, 'refused')
        self.inside.fault('rcpt', b'451 4.2.1 not now\r\n', times=1)
        equal(self.mail('c@example.com', 'u@example.org'), 451, 'deferred')
        equal(self.mail('d@example.com', 'u@example.net'), 451, 'no server')
        said = self.status()
        self.open('status')
        self.shows(said)
        self.quiet()
        self.picture('status-desktop')
        # the poll brings what is new
        equal(self.mail('late@example.com', 'u@example.org'), 250, 'later')
        self.browser.wait('document.body.innerText.includes("late@example.com")')
        for _ in range(10):
            self.mail('more@example.com', 'u@example.org')
        self.browser.wait('!!document.querySelector("[data-more=true]")')
        self.press('[data-more=true]')
        equal(self.count('[data-id]'), 17, 'all verdicts')
        self.press('[data-span=hours]')
        check('23 h ago' in self.text(), 'the day')
        self.open('status', PHONE)
        self.narrow('status')
        self.quiet()
        self.picture('status-phone')

    def status(self):
        code, out, err = self.device.status(['status', '--json', '--control', '/var/run/postern/control.sock'])
        equal((code, err), (0, ''), 'status')
        return json.loads(out)

    def shows(self, said):
        text = self.text()
        marks = {kind: self.content('[data-sum=%s]' % kind)
                 for kind in ('accepted', 'tagged', 'deferred', 'refused')}
        equal(marks, {'accepted': '2 accepted', 'tagged': '1 tagged', 'deferred': '2 deferred', 'refused': '1 refused'},
              'sums')
        equal(self.browser.run('[...new Set([...document.querySelectorAll("svg rect[data-kind]")].map(one => '
                               'one.dataset.kind))].sort()'), ['accepted', 'deferred', 'refused', 'tagged'], 'bars')
        check(self.browser.run('[...document.querySelectorAll("svg rect[data-kind]")].every(one => '
                               '+one.getAttribute("y") >= 0 && +one.getAttribute("height") > 0)'), 'bars in the picture')
        for piece in (said['version'], 'Mode tag', '%d of 50' % said['sessions'], str(self.port), str(self.inside.address),
                      'last seen to offer', '8BITMIME', str(self.dead), 'cannot be reached', 'good.example', 'broken.example',
                      'left out', 'only tried', 'OWN_SPAM', 'no mail server of yours takes this domain', '(a bounce)',
                      HOSTILE_SENDER, HOSTILE_RCPT, 'asked to come again', 'a@example.com'):
            check(piece in text, 'no %r in the page:\n%s' % (piece, text))
        for verdict in said['verdicts']:
            check(verdict['id'] in text, 'verdict %s' % verdict['id'])
        for counter in ('delivered', 'tagged', 'deferred', 'refused', 'connections'):
            equal(self.content('[data-counter=%s] b' % counter),
                  str(said['counters'][counter]), counter)
        equal(self.count('#view img, #view script, #view iframe'), 0, 'elements')

    def graph(self):
        """The columns are as high as the figures, of the last hour and of the last day."""
        self.begin(start=True)
        said = self.status()
        kinds = ('accepted', 'tagged', 'deferred', 'refused')
        for span, count in (('minutes', 60), ('hours', 24)):
            for number, kind in enumerate(kinds):
                said[span][kind] = [(at * (7 - number) + at // 5 * number) % (23 - 6 * number) for at in range(count)]
        said['minutes']['accepted'][59], said['minutes']['tagged'][59] = 40, 7
        said['minutes']['deferred'][59], said['minutes']['refused'][59] = 0, 3
        self.device.broken = (0, json.dumps(said), '')
        self.open('status')
        last = self.browser.run('''[...document.querySelectorAll('svg > g')].pop().textContent + ' ' +
            JSON.stringify([...document.querySelectorAll('svg > g:last-child rect[data-kind]')].map(one =>
                [ one.dataset.kind, +one.getAttribute('y'), +one.getAttribute('height') ]))''')
        equal(last, '0 min ago: 40 accepted, 7 tagged, 0 deferred, 3 refused '
                    '[["accepted",20,80],["tagged",6,14],["refused",0,6]]', 'the last minute')
        equal(self.content('.postern-scale'), '50', 'scale')
        self.picture('graph-hour')
        for span, count in (('hours', 24), ('minutes', 60)):
            self.press('[data-span=%s]' % span)
            equal(self.count('svg > g'), count, span)
            for kind in kinds:
                equal(self.content('[data-sum=%s]' % kind),
                      '%d %s' % (sum(said[span][kind]), kind), span)
        self.quiet()

    def stopped(self):
        """Why it does not run, each case in its words; then it is started by the page."""
        relay = self.uci.index('config relay')
        bad = self.uci.replace("option sessions '50'", "option sessions 'many'")
        for text, wanted in ((self.uci[:relay], 'no mail server is named yet'),
                             (self.uci.replace("enabled '1'", "enabled '0'"), 'it is switched off'),
                             (self.uci, 'Postern is not running. Start it')):
            self.begin(text)
            self.open('status')
            check(wanted in self.text(), 'no %r in %s' % (wanted, self.text()))
            self.quiet()
        self.picture('stopped-desktop')
        self.press('[data-action=start]')
        self.browser.wait('document.body.innerText.includes("Last verdicts")')
        check(self.device.is_running(), 'it was not started')
        self.press('[data-action=reload]')
        self.output('service postern reload\n')
        check(wait_until(lambda: self.status()['generation'] == 2, 5), 'it was not reloaded')
        self.press('[data-action=stop]')
        self.browser.wait('document.body.innerText.includes("Postern is not running")')
        check(not self.device.is_running(), 'it was not stopped')
        self.begin(bad)
        self.open('status', PHONE)
        for action in ('start', 'check'):
            self.press('[data-action=%s]' % action)
            self.output('service postern %s\n' % action)
            check("option 'sessions'" in self.text(), '%s: %s' % (action, self.text()))
        self.narrow('stopped')
        self.quiet()
        self.picture('stopped-phone')
        self.begin()
        self.open('status')
        self.press('[data-action=check]')
        self.output('good: ')

    def hostile_answers(self):
        """Whatever stands in the status or is said by the script is text, and nothing of it stops the page."""
        self.begin(start=True)
        said = self.status()
        nasty = '<img src=x onerror=alert(9)>'
        said['mode'] = said['version'] = nasty
        said['listeners'] = [nasty]
        said['servers'] = [{'address': nasty, 'protocol': nasty, 'state': nasty, 'connections': nasty, 'waiting': 0,
                            'offers': [nasty]}]
        said['lists'] = [{'zone': nasty, 'name': nasty, 'state': '__proto__', 'why': nasty, 'dry_run': True, 'asked': nasty,
                          'listed': 1}]
        said['counters'][nasty] = 7
        said['verdicts'] = [{'time_ms': said['now_ms'], 'id': nasty, 'client': nasty, 'from': 'b\xc3\xbccher@example.org',
                             'to': 'a\u202e\x00b' + nasty, 'kind': nasty, 'verdict': nasty, 'reason': 'constructor',
                             'outcome': 'toString', 'score': nasty, 'hits': nasty, 'code': 0}] * 3
        self.device.broken = (0, json.dumps(said), '')
        self.open('status', PHONE)
        text = self.text()
        check(text.count(nasty) > 12, 'it is not shown: %s' % text)
        check('bücher@example.org' in text and '\ufffd\ufffdb<img' in text, 'names: %s' % text)
        check('constructor' in text and 'toString' in text, 'unknown words: %s' % text)
        equal(self.count('#view img'), 0, 'elements')
        self.narrow('hostile')
        self.quiet()
        for broken in ((1, '', 'postern: %s\n' % nasty), (0, '{"version": "0.', ''), (1, '', 'x' * 3000)):
            self.device.broken = broken
            self.open('status', PHONE)
            check('does not answer' in self.text(), 'broken status: %s' % self.text())
            self.narrow('broken')
            self.quiet()
        self.begin(self.uci.replace("hostname 'mx.example.org'", "hostname '%s'" % HOSTILE_HOST))
        self.open('status')
        self.press('[data-action=check]')
        self.output(HOSTILE_HOST)
        self.quiet()
        self.open('settings')
        equal(self.browser.run('document.getElementById("widget.cbid.postern.main.hostname").value'), HOSTILE_HOST, 'value')
        check("Host name" in self.save(), 'it is saved again')
        self.quiet()

    def round_trip(self):
        """Values are changed as a user does; exactly these changes go to UCI, and postern-config makes the lines of them."""
        self.begin()
        self.open('settings')
        equal(self.save(), '', 'nothing changed')
        equal(self.changes(), [], 'changes of nothing')
        relay, dnsbl = self.section('relay'), self.section('dnsbl')
        equal(self.give('main', 'message', '25M'), '', 'message')
        self.give('main', 'deny_sender', '@spam.example')
        self.give('main', 'deny_sender', 'x@other.example')
        self.give('main', 'sessions', '')
        self.give('main', 'subject', '[SPAM?]')
        self.give(relay, 'server', '192.0.2.12:25')
        self.give(dnsbl, 'codes', '127.0.0.[2-9]')
        self.browser.run('''(() => {
            document.getElementById('widget.cbid.postern.main.mode.2').click();
            document.getElementById('widget.cbid.postern.%s.direct').click();
            document.getElementById('widget.cbid.postern.main.greylist').value = 'on';
            document.getElementById('widget.cbid.postern.%s.tls').value = 'must';
            document.getElementById('widget.cbid.postern.main.rules').click();
        })()''' % (dnsbl, relay))
        equal(self.save(), '', 'save')
        equal(sorted(self.changes(), key=str), sorted([
            ('set', 'main', {'mode': 'enforce', 'subject': '[SPAM?]', 'greylist': 'on', 'message': '25M',
                             'deny_sender': ['@spam.example', 'x@other.example']}),
            ('delete', 'main', self.changes_of('delete', 'main')),
            ('set', relay, {'server': [self.inside.address, '192.0.2.12:25'], 'tls': 'must'}),
            ('set', dnsbl, {'codes': ['127.0.0.[2-9]'], 'direct': '1'})], key=str), 'changes')
        equal(sorted(self.changes_of('delete', 'main')), ['rules', 'sessions'], 'deleted')
        status, out, err = self.rendered()
        equal((status, err), (0, ''), 'postern-config')
        lines = [' '.join(line.split()) for line in out.split('\n')]
        for line in ('message 25M', 'mode enforce', 'greylist on', 'verdict subject "[SPAM?]"', 'deny sender @spam.example',
                     'deny sender x@other.example', 'relay example.org to %s 192.0.2.12:25 tls must' % self.inside.address,
                     'dnsbl good.example score 0.5 codes 127.0.0.[2-9] direct'):
            check(line in lines, 'no %r in %s' % (line, out))
        check(not [line for line in lines if line.startswith(('limit sessions', 'rules /usr'))], 'what was emptied: %s' % out)
        equal(self.program_refuses(out), [], 'what the program does not take')
        self.quiet()

    def changes_of(self, method, section):
        return [values for verb, where, values in self.changes() if (verb, where) == (method, section)][0]

    def sections(self):
        """Mail servers and lists are added and removed."""
        self.begin(self.uci[:self.uci.index('config relay')])
        self.open('settings')
        check('This section contains no values yet' in self.text(), 'none')
        self.add_section('relay')
        relay = self.section('relay')
        check('"Domains" must not be empty' in self.save(), 'saved without a domain')
        self.press('#cbi-postern-dnsbl > .cbi-section-create button')
        self.browser.wait('document.getElementById("modal_overlay").innerText.includes("Domains")')
        self.give(relay, 'domain', 'example.org')
        self.give(relay, 'server', self.inside.address)
        self.add_section('dnsbl')
        dnsbl = self.section('dnsbl')
        check('"Zone"' in self.save(), 'saved without a zone')
        self.give(dnsbl, 'zone', 'zen.example')
        equal(self.save(), '', 'save')
        equal(self.changes(), [('set', dnsbl, {'zone': 'zen.example'})], 'changes')
        equal(self.device.uci.find(relay)['domain'], ['example.org'], 'what was saved with the list')
        status, out, err = self.rendered()
        check(status == 0 and 'dnsbl zen.example score 4' in out, 'postern-config: %s%s' % (out, err))
        self.press('#cbi-postern-dnsbl .cbi-section-remove button')
        self.browser.wait('!document.querySelector("#cbi-postern-dnsbl [data-section-id]")')
        check('dnsbl' not in self.rendered()[1], 'it is still there')
        self.quiet()

    def add_section(self, kind):
        self.press('#cbi-postern-%s > .cbi-section-create button' % kind)
        self.browser.wait('!!document.querySelector("#cbi-postern-%s [data-section-id]")' % kind)

    def invalid(self):
        """What postern-config or the program refuses the form refuses, with the option named; and nothing else."""
        self.begin()
        self.open('settings')
        wrong = []
        for kind, option, good, bad in VALUES:
            section = self.section(kind)
            title = self.browser.run('document.querySelector(`[data-field="cbid.postern.%s.%s"] label`).textContent'
                                     % (section, option))
            for value in good + bad:
                told = self.give(section, option, value)
                if (told == '') != (value in good):
                    wrong.append('the form of %s %r: %r' % (option, value, told))
                elif told and not told.startswith(title + ': '):
                    wrong.append('%s is not named: %r' % (option, told))
                elif told and title not in self.save():
                    wrong.append('%s %r was saved' % (option, value))
                self.give(section, option, '')
                if option in LISTS:
                    self.clear_list(section, option)
            if option in ('domain', 'server', 'zone'):      # emptied above, and needed
                self.open('settings')
        for number in range(max(len(row[2]) for row in VALUES)):
            row = [(kind, option, good[number]) for kind, option, good, _ in VALUES if number < len(good)]
            refused = self.refused(row)
            wrong += ['%s refuses %s %r' % (who, option, value) for (kind, option, value), who in refused.items()]
        for number in range(max(len(row[3]) for row in VALUES)):
            row = [(kind, option, bad[number]) for kind, option, _, bad in VALUES if number < len(bad)]
            wrong += ['the program takes %s %r' % (option, value)
                      for kind, option, value in set(row) - set(self.refused(row))]
        check(not wrong, '\n  '.join(wrong))
        untried = [name for (kind, name), form in options_table().items()
                   if form not in ('bool', 'file', 'list-file') and not form.startswith('choice')
                   and (kind, name) not in {row[:2] for row in VALUES} | {('main', 'listen_tls'), ('main', 'submission')}]
        equal(untried, [], 'not tried')
        self.quiet()

    def refused(self, rows):
        """Which of (section, option, value) postern-config or the program refuses, and which of them it is."""
        left, refused = list(rows), {}
        while left:
            status, out, err = self.rendered(self.with_values(left))
            named = {row: 'postern-config' for row in left if "option '%s'" % row[1] in err}
            if status and not named:
                raise Failed('postern-config: %s' % err)
            if not named:
                rests = self.program_refuses(out)
                named = {row: 'the program' for row in left for rest in rests
                         if re.match(r'"?%s("|\s|$)' % re.escape(row[2]), rest)}
                check(not rests or named, 'the program refuses %s' % rests)
            refused.update(named)
            left = [row for row in left if row not in named] if named else []
        return refused

    @staticmethod
    def with_values(rows):
        """A small UCI file with these values in it."""
        lines = {'main': {'hostname': "\toption hostname 'mx.example.org'"},
                 'relay': {'domain': "\tlist domain 'example.org'", 'server': "\tlist server '192.0.2.1:25'"},
                 'dnsbl': {'zone': "\toption zone 'zen.example'"}}
        for kind, option, value in rows:
            lines[kind][option] = "\t%s %s '%s'" % ('list' if option in LISTS else 'option', option, value)
            if option == 'submission_to':
                lines[kind]['submission'] = "\tlist submission '127.0.0.1:2587'"
        return '\n'.join(word for kind, options in lines.items() for word in
                         ["config postern 'main'" if kind == 'main' else 'config ' + kind, *options.values(), ''])

    def together(self):
        """Options that need another one say so."""
        self.begin()
        self.open('settings')
        for option, value, other, what in (('certkey', '/etc/acme/mx.key', 'cert', 'The certificate itself is missing'),
                                           ('submission', '127.0.0.1:2587', 'submission_to', '"Where users log in" is missing')):
            told = self.give('main', option, value)
            check(what in told, '%s: %r' % (option, told))
            equal(self.give('main', other, '/etc/acme/mx.cer' if other == 'cert' else '192.0.2.10:587'), '', other)
            equal(self.give('main', option, value), '', option)
        equal(self.save(), '', 'save')
        status, out, err = self.rendered()
        check(status == 0 and 'tls cert /etc/acme/mx.cer key /etc/acme/mx.key' in out, 'postern-config: %s%s' % (out, err))
        self.begin(self.uci.replace("rules '1'", "rules 'yes'"))
        self.open('settings')
        check(self.browser.run('document.getElementById("widget.cbid.postern.main.rules").checked'), 'yes is not shown as 1')
        self.quiet()

    def applied(self):
        """Save & Apply: the running program takes the new settings; the page asks whether they are good."""
        self.begin(start=True)
        equal(self.status()['mode'], 'tag', 'mode before')
        self.open('settings')
        self.browser.run('document.getElementById("widget.cbid.postern.main.mode.0").click()')
        self.press('[data-handler=handleSaveApply]')
        self.output('good: ')
        check(wait_until(lambda: self.status()['mode'] == 'observe', 5), 'mode: %s' % self.status()['mode'])
        equal(self.status()['generation'], 2, 'generation')
        check("option mode 'observe'" in read(self.device.uci_path), read(self.device.uci_path))
        # two listeners of one address: only the program knows that this is wrong
        self.open('settings')
        self.give('main', 'listen_tls', str(self.port))
        self.press('[data-handler=handleSaveApply]')
        self.output('service postern check')
        equal(self.browser.run('document.querySelector(".postern-output").dataset.good'), 'false', 'what the page says of it')
        equal(self.status()['generation'], 2, 'the running one stays')
        self.quiet()

    def pictures(self):
        """The settings, all tabs of them, fit on a phone."""
        self.begin(start=True)
        self.open('settings')
        self.picture('settings-desktop')
        self.open('settings', PHONE)
        tabs = self.browser.run('[...document.querySelectorAll(".cbi-tabmenu li")].length')
        check(tabs >= 8, 'tabs: %s' % tabs)
        self.picture('settings-phone')
        for number in range(tabs):
            self.browser.run('document.querySelectorAll(".cbi-tabmenu li a")[%d].click()' % number)
            self.narrow('tab %d' % number)
        self.quiet()
        self.picture('settings-phone-last')
        self.open('settings')
        self.browser.run('document.querySelectorAll(".cbi-tabmenu li").forEach(one => '
                         'one.dataset.tab == "spam" && one.firstChild.click())')
        self.give('main', 'tag_score', 'high')
        self.press('[data-handler=handleSave]')
        self.browser.wait('document.getElementById("modal_overlay").style.display == "block"')
        check('"Mark from score"' in self.text(), self.text())
        self.picture('settings-invalid')
        self.quiet()

    def reader(self):
        """Who may only look sees everything, and has no button that would be refused."""
        self.begin(start=True)
        for page in ('status', 'settings'):
            self.open(page, role='read')
            equal(self.count('[data-action]'), 0, 'buttons')
            self.quiet()
        check(self.browser.run('[...document.querySelectorAll("#cbi-postern input, #cbi-postern select, #cbi-postern button, '
                               '[data-handler]")].every(one => one.disabled)'), 'something can be changed')
        self.open('status', role='read')
        check('Last verdicts' in self.text(), self.text())
        # and if he tries by hand, the device says no
        got = self.browser.run('''(async () => {
            const fs = await L.require('fs'), service = await L.require('postern.service');
            const told = [];
            for (const [ command, words ] of [ [ '/etc/init.d/postern', [ 'stop' ] ], [ '/usr/sbin/postern', [ 'run' ] ],
                [ '/usr/sbin/postern', [ 'status', '--json', '--control', '/var/run/postern/control.sock', '-c', '/x' ] ],
                [ '/bin/sh', [ '-c', 'true' ] ] ])
                told.push(await fs.exec(command, words).then(() => 'done', error => error.message));
            return told.concat((await service.act('check')).text);
        })()''')
        equal(got, ['Permission denied'] * 5, 'what a reader may do')
        check(self.device.is_running(), 'it was stopped')

    def rights(self):
        """The access control names what the pages called in all tests before, and nothing else."""
        groups = json.loads(read(ACL))['luci-app-postern']
        given = set()
        for half in ('read', 'write'):
            for scope, rights in groups[half].items():
                if isinstance(rights, list):
                    given |= {(scope, name, half) for name in rights}
                else:
                    given |= {(scope, name, method) for name, methods in rights.items() for method in methods}
        equal(sorted(self.needed), sorted(given), 'what is needed, what is given')

    def all(self):
        return [self.files, self.words, self.every_option, self.running, self.graph, self.stopped, self.hostile_answers,
                self.round_trip, self.sections, self.invalid, self.together, self.applied, self.pictures, self.rights,
                self.reader]


def main():
    parser = argparse.ArgumentParser(description="LuCI's pages")
    parser.add_argument('--postern', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--only', default='', help='parts of test names, separated by commas')
    parser.add_argument('--times', action='store_true', help='print how long each test took')
    options = parser.parse_args()
    if not shutil.which('chromium'):
        print("skipped: there is no chromium\n0 passed, 0 failed, 1 skipped")
        return 0
    parts = [part for part in options.only.split(',') if part]
    passed = failed = 0
    scratch = tempfile.mkdtemp(prefix='pst-luci-')
    trial = None
    try:
        trial = Trial(options.postern, options.out, scratch)
        for test in trial.all():
            if parts and not any(part in test.__name__ for part in parts):
                continue
            begin = time.monotonic()
            trial.device.needed.clear()
            try:
                test()
                passed += 1
            except (Failed, BrowserError, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError) as reason:
                failed += 1
                print('FAIL %s\n  %s: %s' % (test.__name__, type(reason).__name__, reason))
            trial.needed |= trial.device.needed
            if options.times:
                print('%-16s %.1f s' % (test.__name__, time.monotonic() - begin))
    finally:
        if trial:
            trial.close()
        shutil.rmtree(scratch, ignore_errors=True)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
