"""Headless Chromium, driven by its DevTools protocol over a pair of pipes: nothing else is needed, and no port is opened."""
import base64
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.proc import _die_with_parent       # noqa: E402

SECONDS = 20
ARGUMENTS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--mute-audio',
             '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-extensions',
             '--disable-default-apps', '--no-proxy-server', '--password-store=basic', '--hide-scrollbars',
             '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--remote-debugging-pipe']


class BrowserError(Exception):
    pass


class Browser:
    """One window. `trouble` collects what scripts threw, what the console calls an error, and dialogs; `urls` all that was
    fetched."""

    def __init__(self, profile, program='chromium'):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self.trouble, self.urls = [], []
        self.number = 0
        self.answers = {}
        self.news = threading.Condition()
        self.ended = False

        def prepare():
            _die_with_parent()
            # it reads from 3 and writes to 4
            reading, writing = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        keep = tuple({3, 4, theirs_in, theirs_out})
        self.process = subprocess.Popen([program, *ARGUMENTS, '--user-data-dir=' + profile, 'about:blank'], preexec_fn=prepare,
                                        pass_fds=keep, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True,
                                        env=dict(os.environ, HOME=profile, XDG_CONFIG_HOME=profile, XDG_CACHE_HOME=profile))
        os.close(theirs_in)
        os.close(theirs_out)
        self.out = os.fdopen(ours_out, 'wb', buffering=0)
        self.stream = os.fdopen(ours_in, 'rb', buffering=0)
        threading.Thread(target=self.listen, daemon=True).start()
        target = self.call('Target.createTarget', {'url': 'about:blank'}, session=None)['targetId']
        self.session = self.call('Target.attachToTarget', {'targetId': target, 'flatten': True}, session=None)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(domain + '.enable')

    def close(self):
        try:
            self.call('Browser.close', session=None)
            self.process.wait(5)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            pass
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.out.close()

    def listen(self):
        data = b''
        while True:
            more = self.stream.read(1 << 16)
            if not more:
                break
            data += more
            *messages, data = data.split(b'\0')
            for message in messages:
                self.take(json.loads(message))
        with self.news:
            self.ended = True
            self.news.notify_all()

    def take(self, message):
        what = message.get('params', {})
        method = message.get('method')
        with self.news:
            if 'id' in message:
                self.answers[message['id']] = message
                self.news.notify_all()
            elif method == 'Runtime.exceptionThrown':
                details = what['exceptionDetails']
                self.trouble.append(details.get('exception', {}).get('description') or details['text'])
            elif method == 'Log.entryAdded' and what['entry']['level'] == 'error':
                self.trouble.append('%s %s' % (what['entry']['text'], what['entry'].get('url', '')))
            elif method == 'Page.javascriptDialogOpening':
                self.trouble.append('dialog: ' + what['message'])
                self.send('Page.handleJavaScriptDialog', {'accept': False}, message.get('sessionId'))
            elif method == 'Network.requestWillBeSent':
                self.urls.append(what['request']['url'])

    def send(self, method, parameters, session):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': parameters}
        if session:
            message['sessionId'] = session
        self.out.write(json.dumps(message).encode() + b'\0')
        return self.number

    def call(self, method, parameters=None, session=''):
        with self.news:
            number = self.send(method, parameters or {}, self.session if session == '' else session)
            self.news.wait_for(lambda: number in self.answers or self.ended, SECONDS)
            if number not in self.answers:
                raise BrowserError('no answer to %s' % method)
            answer = self.answers.pop(number)
        if 'error' in answer:
            raise BrowserError('%s: %s' % (method, answer['error']['message']))
        return answer['result']

    # -- what tests do

    def shape(self, width, height, phone=False):
        self.call('Emulation.setDeviceMetricsOverride', {'width': width, 'height': height, 'mobile': phone,
                                                         'deviceScaleFactor': 1})

    def open(self, url, ready="document.body?.dataset.ready"):
        self.call('Page.navigate', {'url': 'about:blank'})
        self.call('Page.navigate', {'url': url})
        state = self.wait(ready)
        if state != 'true':
            raise BrowserError('%s: %s' % (url, self.run('document.body.innerText')))

    def run(self, expression):
        """The value of an expression; promises are waited for."""
        got = self.call('Runtime.evaluate', {'expression': expression, 'returnByValue': True, 'awaitPromise': True})
        if 'exceptionDetails' in got:
            details = got['exceptionDetails']
            raise BrowserError(details.get('exception', {}).get('description') or details['text'])
        return got['result'].get('value')

    def wait(self, expression, seconds=SECONDS):
        """Ask until the value is true; it is returned."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.run(expression)
            except BrowserError:        # between two pages
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise BrowserError('still not: %s\n%s' % (expression, self.run('document.body.innerText')[:2000]))
            time.sleep(0.05)

    def picture(self, path):
        """The whole page, however long."""
        content = self.call('Page.getLayoutMetrics')['cssContentSize']
        got = self.call('Page.captureScreenshot', {'format': 'png', 'captureBeyondViewport': True, 'clip': {
            'x': 0, 'y': 0, 'width': content['width'], 'height': content['height'], 'scale': 1}})
        with open(path, 'wb') as out:
            out.write(base64.b64decode(got['data']))
