"""A pretended OpenWrt device: pages and /ubus on loopback, the real init script and postern-config under busybox, the real
program. What is pretended: uhttpd, rpcd with its access control, UCI's files, procd.

Everything that a page calls is written down in `calls`, with what rpcd would have been asked to allow.
"""
import fnmatch
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))
from support.proc import _die_with_parent       # noqa: E402

OPENWRT = os.path.join(TOP, 'board', 'openwrt')
FILES = os.path.join(OPENWRT, 'files')
APP = os.path.join(OPENWRT, 'luci')
ACL = os.path.join(APP, 'root/usr/share/rpcd/acl.d/luci-app-postern.json')
STUBS = os.path.join(os.path.dirname(HERE), 'openwrt', 'stubs')
COMMAND_SECONDS = 30
QUESTION = ['status', '--json', '--control', '/var/run/postern/control.sock']
# What LuCI's own access control gives to whoever may log in, of what its runtime calls by itself.
LUCI_READ = {('uci', 'get'), ('uci', 'changes')}
LUCI_WRITE = {('uci', verb) for verb in ('add', 'set', 'delete', 'apply', 'confirm')}

# The init script's surroundings; what procd would start is written into a file.
SURROUNDINGS = """
. "$IPKG_INSTROOT/lib/functions.sh"
logger() { :; }
chown() { :; }
procd_open_instance() { :; }
procd_set_param() { [ "$1" != command ] || { shift; echo "$*" >"$ROOT/procd"; }; }
procd_close_instance() { :; }
procd_add_reload_trigger() { :; }
procd_add_raw_trigger() { :; }
procd_send_signal() { [ ! -e "$ROOT/running" ] || { echo "$3" >"$ROOT/signal"; return 0; }; return 1; }
procd_running() { [ -e "$ROOT/running" ]; }
start() { start_service; }
"""
# OpenWrt's init scripts run their actions so.
ACTION = """
case $1 in
start) start_service ;;
stop) echo >"$ROOT/stop" ;;
reload) reload_service ;;
*) "$1" ;;
esac
"""


class Denied(Exception):
    pass


def read(path):
    with open(path, encoding='utf-8') as stream:
        return stream.read()


class Uci:
    """Sections of one file: [{'.name', '.type', '.anonymous', option: text or list}]."""

    def __init__(self, path):
        self.path = path
        self.sections = []
        self.made = 0
        for line in read(path).split('\n'):
            # as in the stand-in for functions.sh: a value may hold quotes of the other kind
            match = re.match(r"\s*(config|option|list)\s+(\S+)(?:\s+(.*))?$", line)
            if not match or line.lstrip().startswith('#'):
                continue
            what, name, value = match[1], match[2], (match[3] or '').strip().strip("'")
            if what == 'config':
                self.add(name, value or None)
            elif what == 'list':
                self.sections[-1].setdefault(name, []).append(value)
            else:
                self.sections[-1][name] = value

    def add(self, kind, name=None):
        self.made += 1
        section = {'.name': name or 'cfg%02x%04x' % (self.made, 0xa5f0 + self.made), '.type': kind, '.anonymous': not name}
        self.sections.append(section)
        return section

    def find(self, name):
        return next(section for section in self.sections if section['.name'] == name)

    def values(self):
        return {section['.name']: dict(section, **{'.index': index}) for index, section in enumerate(self.sections)}

    def write(self):
        text = ''
        for section in self.sections:
            text += 'config %s%s\n' % (section['.type'], '' if section['.anonymous'] else " '%s'" % section['.name'])
            for name, value in section.items():
                if name[0] == '.':
                    continue
                for one in value if isinstance(value, list) else [value]:
                    text += "\t%s %s '%s'\n" % ('list' if isinstance(value, list) else 'option', name, one)
            text += '\n'
        with open(self.path, 'w', encoding='utf-8') as out:
            out.write(text)


class Device:
    """`binary` is our program, `root` an empty folder that plays the device's file system."""

    def __init__(self, binary, root, uci_text):
        self.binary = os.path.abspath(binary)
        self.root = root
        self.role = 'write'
        self.hurry = 10         # polls so much faster than asked for
        self.calls = []         # (object, method, arguments)
        self.needed = set()     # (scope, object, method) that our access control was asked for
        self.lock = threading.RLock()
        self.process = None
        self.broken = None      # what status is to answer instead: (status, stdout, stderr)
        for folder in ('lib', 'etc', 'var/etc', 'var/lib/postern', 'var/run/postern', 'rules'):
            os.makedirs(os.path.join(root, folder))
        shutil.copy(os.path.join(STUBS, 'functions.sh'), os.path.join(root, 'lib'))
        self.uci_path = os.path.join(root, 'etc', 'postern')
        self.set_uci(uci_text)
        self.make_script()
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), self.handler())
        self.server.daemon_threads = True
        self.url = 'http://127.0.0.1:%d' % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.stop()
        self.server.shutdown()
        self.server.server_close()

    def set_uci(self, text):
        with open(self.uci_path, 'w', encoding='utf-8') as out:
            out.write(text)
        self.uci = Uci(self.uci_path)

    # -- the service

    def make_script(self):
        """The real script, with the device's places moved below `root`, and user and log as this machine has them."""
        root = self.root
        render = os.path.join(root, 'render')
        with open(render, 'w', encoding='utf-8') as out:
            out.write('#!/bin/sh\n'
                      'made=$(busybox ash %s); status=$?\n'
                      'printf "%%s\\n" "$made" | sed -e "/^user /d" -e "s#^log .*#log file %s/log#" '
                      '-e "s#/var/run/postern#%s/var/run/postern#" -e "s#/usr/share/postern/rules#%s#"\n'
                      'exit $status\n' % (os.path.join(FILES, 'usr/libexec/postern-config'), root, root,
                                          os.path.join(TOP, 'rules')))
        os.chmod(render, 0o755)
        text = read(os.path.join(FILES, 'etc/init.d/postern'))
        for place, here in (('/usr/libexec/postern-config', render), ('/usr/sbin/postern', self.binary),
                            ('/var/', root + '/var/')):
            text = re.sub(r'(?<![\w/])' + re.escape(place), lambda _, here=here: here, text)
        with open(os.path.join(root, 'init'), 'w', encoding='utf-8') as out:
            out.write(SURROUNDINGS + text + ACTION)

    def script(self, action):
        """Runs the init script: (status, stdout, stderr); what procd would do is done afterwards."""
        for name in ('procd', 'signal', 'stop'):
            if os.path.exists(os.path.join(self.root, name)):
                os.remove(os.path.join(self.root, name))
        running = os.path.join(self.root, 'running')
        if self.is_running():
            open(running, 'w', encoding='ascii').close()
        elif os.path.exists(running):
            os.remove(running)
        done = subprocess.run(['busybox', 'ash', os.path.join(self.root, 'init'), action], capture_output=True, text=True,
                              timeout=COMMAND_SECONDS, check=False, errors='replace',
                              env=dict(os.environ, ROOT=self.root, IPKG_INSTROOT=self.root, UCI_FILE=self.uci_path,
                                       POSTERN_OPTIONS=os.path.join(FILES, 'usr/share/postern/options')))
        if os.path.exists(os.path.join(self.root, 'stop')):
            self.stop()
        if os.path.exists(os.path.join(self.root, 'signal')):
            self.process.send_signal(1)
        if os.path.exists(os.path.join(self.root, 'procd')) and not self.is_running():
            self.process = subprocess.Popen(shlex.split(read(os.path.join(self.root, 'procd'))), stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            preexec_fn=_die_with_parent)
            end = time.monotonic() + 10
            while self.status(QUESTION)[0] and time.monotonic() < end and self.is_running():
                time.sleep(0.02)
        return done.returncode, done.stdout, done.stderr

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def status(self, arguments):
        if self.broken:
            return self.broken
        done = subprocess.run([self.binary, *(word.replace('/var/run', self.root + '/var/run') for word in arguments)],
                              capture_output=True, timeout=COMMAND_SECONDS, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode().replace(self.root, '')

    # -- rpcd

    def allow(self, scope, name, method):
        """As rpcd would by our file; the reading half is everybody's, the writing half not."""
        self.needed.add((scope, name, method))
        groups = json.loads(read(ACL))['luci-app-postern']
        for half in ('read', 'write') if self.role == 'write' else ('read',):
            rights = groups[half].get(scope, {})
            if isinstance(rights, list):
                if method == half and name in rights:
                    return
            elif any(fnmatch.fnmatchcase(name, pattern) and method in methods for pattern, methods in rights.items()):
                return
        raise Denied

    def call(self, name, method, arguments):
        self.calls.append((name, method, arguments))
        if (name, method) not in LUCI_READ and not (self.role == 'write' and (name, method) in LUCI_WRITE):
            self.allow('ubus', name, method)
        if name == 'uci':
            return self.call_uci(method, arguments)
        if (name, method) == ('service', 'list'):
            running = self.is_running()
            return {'postern': {'instances': {'instance1': {'running': True}} if running else {}}}
        if (name, method) == ('file', 'exec'):
            words = [arguments['command'], *(arguments.get('params') or [])]
            self.allow('file', ' '.join(words), 'exec')
            if words[0] == '/usr/sbin/postern':
                status, out, err = self.status(words[1:])
            else:
                status, out, err = self.script(words[1])
            return {'code': status, 'stdout': out, 'stderr': err}
        raise Denied

    def call_uci(self, method, arguments):
        if 'config' in arguments:
            self.allow('uci', arguments['config'], 'read' if method == 'get' else 'write')
        if method == 'get':
            return {'values': self.uci.values()}
        if method == 'add':
            section = self.uci.add(arguments['type'], arguments.get('name'))
            section.update(arguments.get('values') or {})
            return {'section': section['.name']}
        if method == 'set':
            self.uci.find(arguments['section']).update(arguments['values'])
        elif method == 'delete' and arguments.get('options'):
            for option in arguments['options']:
                del self.uci.find(arguments['section'])[option]
        elif method == 'delete':
            self.uci.sections.remove(self.uci.find(arguments['section']))
        elif method == 'apply':
            self.uci.write()
            self.script('reload')       # procd's trigger on the changed file
        return {}

    # -- uhttpd

    def page(self, view):
        settings = json.dumps({'view': view, 'readonly': self.role != 'write', 'hurry': self.hurry})
        return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Postern</title>'
                '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
                '<link rel="stylesheet" href="/runtime/luci.css"></head><body><header>OpenWrt'
                '<a href="/cgi-bin/luci/admin/services/postern/status">Status</a>'
                '<a href="/cgi-bin/luci/admin/services/postern/settings">Settings</a></header>'
                '<div id="maincontent"><div id="view"></div></div><div id="modal_overlay"></div>'
                '<script>window.POSTERN = %s</script><script src="/runtime/luci.js"></script></body></html>' % settings)

    def answer_get(self, path):
        """(type, bytes) or None."""
        menu = json.loads(read(os.path.join(APP, 'root/usr/share/luci/menu.d/luci-app-postern.json')))
        prefix = '/cgi-bin/luci/'
        if path.startswith(prefix):
            node = menu.get(path[len(prefix):])
            if node and node['action']['type'] == 'view':
                return 'text/html', self.page(node['action']['path']).encode()
            return None
        if path.startswith('/luci-static/'):
            base = os.path.join(APP, 'htdocs')
        elif path.startswith('/runtime/'):
            base = HERE
        else:
            return None
        name = os.path.normpath(os.path.join(base, path.lstrip('/')))
        if not name.startswith(base) or not os.path.isfile(name):
            return None
        return 'text/css' if name.endswith('.css') else 'text/javascript', read(name).encode()

    def answer_ubus(self, body):
        question = json.loads(body)
        _, name, method, arguments = question['params']
        reply = {'jsonrpc': '2.0', 'id': question['id']}
        with self.lock:
            try:
                return dict(reply, result=[0, self.call(name, method, arguments)])
            except Denied:
                if name == 'file':
                    return dict(reply, result=[6])
                return dict(reply, error={'code': -32002, 'message': 'Access denied'})

    def handler(self):
        device = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *_):
                pass

            def reply(self, status, kind, content):
                self.send_response(status)
                self.send_header('Content-Type', kind + '; charset=utf-8')
                self.send_header('Content-Length', str(len(content)))
                self.send_header('Cache-Control', 'no-store')
                try:
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:     # the page has been left
                    self.close_connection = True

            def do_GET(self):
                found = device.answer_get(self.path.split('?')[0])
                if found:
                    self.reply(200, *found)
                else:
                    self.reply(404, 'text/plain', b'there is no such page\n')

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                self.reply(200, 'application/json', json.dumps(device.answer_ubus(body)).encode())

        return Handler
