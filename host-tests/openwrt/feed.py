"""The feed for OpenWrt's own build: its Makefile run with stand-ins for OpenWrt's, its options against the top Kconfig, and what it
installs against what the .apk holds. That a real SDK takes it is not shown here."""
import os
import re
import shutil
import subprocess
import sys

import apk_reader
import packages
from packages import check, same

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FEED = os.path.join(TOP, 'board', 'openwrt', 'feed', 'postern')
sys.path.append('/usr/lib/python3/dist-packages')
import kconfiglib       # noqa: E402

NEEDED = ('Package', 'Version', 'Section', 'Category', 'Title', 'License', 'License-Files', 'Maintainer', 'Require-User', 'Description')


def read(*path):
    with open(os.path.join(*path), encoding='utf-8') as stream:
        return stream.read()


class Feed:
    def __init__(self, postern, folder):
        self.postern = postern
        self.top = os.path.join(folder, 'openwrt')
        shutil.copytree(os.path.join(HERE, 'sdk'), self.top)
        os.makedirs(os.path.join(self.top, 'dl'))
        self.built = os.path.join(self.top, 'build_dir', 'postern-' + packages.package.program_version().partition('-r')[0])
        self.out = os.path.join(self.built, 'build', 'openwrt')

    def make(self, *goals):
        """The Makefile's steps, as OpenWrt would run them."""
        done = subprocess.run(['make', '--no-print-directory', '--warn-undefined-variables', '-r', '-C', FEED, 'TOPDIR=' + self.top,
                               'MAKE=' + os.path.join(self.top, 'make'), *goals], capture_output=True, text=True, timeout=600,
                              check=False, env=dict({name: value for name, value in os.environ.items()
                                                     if not name.startswith(('MAKE', 'MFLAGS'))},
                                                    TOPDIR=self.top, BUILT=self.postern))
        check(done.returncode == 0 and not done.stderr, '%s: %s' % (goals, done.stderr))
        return done.stdout

    def configure(self, text):
        with open(os.path.join(self.top, '.config'), 'w', encoding='ascii') as out:
            out.write(text)

    # --- the options ---

    @staticmethod
    def options(path, known=()):
        """{name: everything that kconfig knows of it}, without the condition that the package is chosen."""
        for name in known:
            os.environ[name] = '1'
        found = {}
        for symbol in kconfiglib.Kconfig(path, warn_to_stderr=False).unique_defined_syms:
            text = str(symbol).replace(' && PACKAGE_postern', '').replace('PACKAGE_postern && ', '')
            found[symbol.name] = re.sub(r'\n\t(?:depends on|visible if) PACKAGE_postern$| if PACKAGE_postern$', '', text, flags=re.M)
        return found

    def same_options(self):
        """Each option of the top Kconfig, with prompt, default, range and help; nothing else."""
        menu = os.path.join(self.top, 'menu')
        with open(menu, 'w', encoding='ascii') as out:
            out.write('config PACKAGE_postern\n\tbool\n\tdefault y\n\nsource "%s"\n' % os.path.join(FEED, 'Config.in'))
        ours, theirs = self.options(os.path.join(TOP, 'Kconfig')), self.options(menu)
        theirs.pop('PACKAGE_postern')
        hint = '; board/openwrt/feed/renew.sh writes Config.in anew'
        check(len(ours) > 15, 'only %d options' % len(ours))
        same(sorted(theirs), sorted(ours), 'options' + hint)
        for name, text in ours.items():
            check(theirs[name] == text, '%s: %s\nnot\n%s%s' % (name, theirs[name], text, hint))
        defaults = [{symbol.name: symbol.str_value for symbol in kconfiglib.Kconfig(path).unique_defined_syms}
                    for path in (os.path.join(TOP, 'Kconfig'), menu)]
        same(defaults[1].pop('PACKAGE_postern'), 'y', 'package')
        same(defaults[1], defaults[0], 'what is chosen unasked')

    def not_chosen(self):
        """Without the package its options are not in anybody's .config."""
        menu = os.path.join(self.top, 'menu')
        with open(menu, 'w', encoding='ascii') as out:
            out.write('config PACKAGE_postern\n\tbool\n\nsource "%s"\n' % os.path.join(FEED, 'Config.in'))
        config = os.path.join(self.top, 'none')
        kconfiglib.Kconfig(menu).write_config(config)
        check('CONFIG_POSTERN' not in read(config), read(config))

    def as_kconfig(self, defconfig):
        """The two lines of sed give the compiler and make what kconfig would have given."""
        kconf = kconfiglib.Kconfig(os.path.join(TOP, 'Kconfig'))
        if defconfig:
            kconf.load_config(os.path.join(TOP, 'board', defconfig))
        paths = [os.path.join(self.top, name) for name in ('config', 'header', 'auto')]
        kconf.write_config(paths[0])
        kconf.write_autoconf(paths[1])
        text = read(paths[0])
        self.configure('CONFIG_PACKAGE_postern=y\nCONFIG_TARGET_toy=y\n%sCONFIG_OTHER_POSTERN_X=y\n' % text)
        self.make('prepare', 'configure')

        def lines(header):
            return sorted(line for line in header.split('\n') if line.startswith('#define'))

        same(lines(read(self.out, 'autoconf.h')), lines(read(paths[1])), 'autoconf.h')
        same(sorted(read(self.out, 'auto.conf').split()),
             sorted(line for line in text.split('\n') if line.startswith('CONFIG_')), 'auto.conf')

    # --- the Makefile ---

    def lint(self):
        text = read(FEED, 'Makefile')
        for number, line in enumerate(text.split('\n'), 1):
            check(line == line.rstrip() and len(line) <= 132, 'line %d: blanks at its end, or too long' % number)
        check(text.count('\ndefine ') == text.count('\nendef'), 'a define without its end')
        order = ['include $(TOPDIR)/rules.mk', 'PKG_NAME:=', 'PKG_CONFIG_DEPENDS:=', 'include $(INCLUDE_DIR)/package.mk',
                 'define Package/postern\n', 'define Build/Compile', 'define Package/postern/install', '$(eval $(call BuildPackage,postern))']
        places = [text.find(word) for word in order]
        check(-1 not in places and places == sorted(places), 'order: %s' % places)
        self.configure('')
        fields = dict(line.split(': ', 1) for line in self.make('dump').strip().split('\n'))
        for name in NEEDED:
            check(fields.get(name, '').strip(), 'no %s' % name)
        one = packages.package.postern(self.postern, 'all', packages.package.program_version())
        same((fields['Package'], fields['Version'], fields['License'], fields['Description'], fields['Section'],
              fields['Require-User'].split(), fields['Conffiles'].split(), fields['Depends'].split()),
             (one.name, one.version, one.license, one.description, one.section, list(one.users), list(one.conffiles),
              list(one.depends)), 'what the packages say')
        check(len(fields['Title']) <= 60, 'title')
        check(os.path.exists(os.path.join(TOP, fields['License-Files'])), 'license')
        same(fields['Config-Depends'].split(), ['CONFIG_' + name for name in re.findall('^config (.*)$', read(FEED, 'Config.in'), re.M)],
             'PKG_CONFIG_DEPENDS')
        for path in fields['File-Depends'].split():
            check(os.path.isdir(path), '%s is no folder' % path)

    def compiles(self):
        """What our make is asked for, and what it would do with that."""
        self.configure(''.join('CONFIG_%s=%s\n' % (name, symbol.str_value) for name, symbol in
                               kconfiglib.Kconfig(os.path.join(TOP, 'Kconfig')).syms.items()
                               if symbol.str_value not in ('', 'n') and name.startswith('POSTERN_')))
        self.make('prepare', 'configure')
        os.symlink(os.path.join(TOP, 'build', 'deps'), os.path.join(self.built, 'build', 'deps'))
        self.make('compile')
        asked = read(self.top, 'asked').split('\n')
        for word in ('SET_UP=done', 'BOARD=host', 'O=build/openwrt', 'CC=toy-openwrt-linux-musl-gcc', 'AR=toy-openwrt-linux-musl-ar',
                     'build/openwrt/postern', '-j2', os.path.join(self.top, 'dl')):
            check(word in asked, 'no %s in %s' % (word, asked))
        flags = next(word for word in asked if word.startswith('ARCHFLAGS='))
        check('-mtoy=1' in flags and '-znow' in flags and '-Os' not in flags, flags)
        would = read(self.top, 'would')
        check('kconfig' not in would and 'genconfig' not in would, 'it asks for kconfig')
        line = next(line for line in would.split('\n') if '-c ' in line and 'firmware/app/main.c' in line)
        check('-include build/openwrt/autoconf.h' in line and '-O2' in line and '-Werror' not in line.split(), line)
        check(re.search(r'-o build/openwrt/postern .*libmbedtls\.a .*libcares\.a', would), 'not linked')
        check(not re.search(r'-l(mbedtls|cares|pcre2)', would), "a library of the router's")

    def installs(self):
        """The tree that the install step makes is the .apk's."""
        root = os.path.join(self.top, 'root')
        shutil.rmtree(root, ignore_errors=True)
        self.make('install')
        out = os.path.join(self.top, 'own.apk')
        one = packages.package.postern(self.postern, 'x86_64', packages.package.program_version())
        with open(out, 'wb') as stream:
            stream.write(packages.apk.apk(one))
        with open(out, 'rb') as stream:
            held = apk_reader.read(stream.read())
        wanted = {path: (mode, content) for path, (mode, _, _, content) in held.files.items() if not path.startswith('/lib/apk/')}
        found, folders = {}, {'/': 0o755}
        for above, names, files in os.walk(root):
            for name in names:
                path = os.path.join(above, name)
                folders['/' + os.path.relpath(path, root)] = os.stat(path).st_mode & 0o7777
            for name in files:
                path = os.path.join(above, name)
                with open(path, 'rb') as stream:
                    found['/' + os.path.relpath(path, root)] = (os.stat(path).st_mode & 0o7777, stream.read())
        same(sorted(found), sorted(wanted), 'files')
        for path, entry in wanted.items():
            check(found[path] == entry, '%s: mode %o or bytes differ' % (path, found[path][0]))
        same(folders, {path: entry[0] for path, entry in held.folders.items() if not path.startswith('/lib/apk')}, 'folders')

    def loads_no_rules_without(self):
        """A build without rules does not come with a configuration that loads some."""
        root = os.path.join(self.top, 'root')
        for text, loads in (('CONFIG_POSTERN_RULES=y\n', True), ('# CONFIG_POSTERN_RULES is not set\n', False)):
            shutil.rmtree(root, ignore_errors=True)
            self.configure(text)
            self.make('configure', 'install')
            check(("option rules '1'" in read(root, 'etc', 'config', 'postern')) == loads, text)


def tests(postern, folder):
    feed = Feed(postern, folder)
    yield 'feed: the options of the top Kconfig', feed.same_options
    yield 'feed: no options without the package', feed.not_chosen
    for defconfig in ('', 'device.defconfig', 'minimal.defconfig'):
        yield 'feed: kconfig by sed: ' + (defconfig or 'defaults'), lambda name=defconfig: feed.as_kconfig(name)
    yield 'feed: the Makefile', feed.lint
    yield 'feed: its compile step', feed.compiles
    yield 'feed: its install step', feed.installs
    yield 'feed: its configuration without rules', feed.loads_no_rules_without
