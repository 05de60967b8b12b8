#!/usr/bin/python3
"""Gets the sources named in the lock file, checks them, unpacks and patches them.

usage: fetch.py OUT [NAME...]     (OUT: a folder that will hold mbedtls/ lwip/ pcre2/ cares/ cmocka/,
                                   or those named, of the lock file for boards)

A file is looked for in build/dl, in ${XDG_CACHE_HOME:-~/.cache}/postern, in POSTERN_DEPS, and last in
the machine's own Debian mirror, suites trixie and trixie-security, through an apt of its own (or, where
its lists do not name the version, straight from the mirror's pool): nothing of the machine's package
state is touched. Whatever the way, only our sha256 counts. README.md beside
this file says the rest.
"""

import glob
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LOCK = os.path.join(HERE, "lock")
LOCK_BOARDS = os.path.join(HERE, "lock-boards")
PATCHES = os.path.join(HERE, "patches")
DOWNLOADS = os.path.join(TOP, "build", "dl")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = ("trixie", "trixie-security")
KNOWN_SUITE = re.compile(
    r"^(bullseye|bookworm|trixie|forky|sid|stable|oldstable|oldoldstable|testing|unstable)"
    r"(-updates|-security|-backports|-proposed-updates|/updates)?/?$")


class Trouble(Exception):
    """Something the user has to hear about, in words they can act on."""


def say(text):
    print(f"deps: {text}", flush=True)


# --- the lock file -------------------------------------------------------------------------------


class Entry:
    """One pinned library: where it comes from and which bytes it must be."""

    def __init__(self, name, version):
        self.name = name
        self.version = version
        self.series = ""
        self.package = ""
        self.package_version = ""
        self.orig = None        # (file, sha256)
        self.patches = []       # (file, member or "-", sha256 of the patch text or None)
        self.ours = []          # (file of PATCHES, sha256)
        self.inner = ""         # the tarball inside the package that orig is
        self.take = ()          # what of it is unpacked; nothing said is everything

    def files(self):
        return [self.orig[0]] + sorted({file for file, _, _ in self.patches})


def read_lock(path):
    entries = []
    with open(path, encoding="ascii") as lock:
        for number, line in enumerate(lock, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if not line[0].isspace():
                entries.append(Entry(words[0], words[1]))
                continue
            entry, key, values = entries[-1], words[0], words[1:]
            if key == "series":
                entry.series = values[0]
            elif key == "source":
                entry.package, entry.package_version = values[0].split("=", 1)
            elif key == "orig":
                entry.orig = (values[0], values[1])
            elif key == "patch":
                entry.patches.append((values[0], values[1], values[2]))
            elif key == "ours":
                entry.ours.append((values[0], values[1]))
            elif key == "inner":
                entry.inner = values[0]
            elif key == "take":
                entry.take = tuple(values)
            else:
                raise Trouble(f"{path}:{number}: unknown word {key!r}")
    return entries


# --- finding and checking ------------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def user_cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "postern")


def cache_folders():
    folders = [DOWNLOADS, user_cache()]
    if os.environ.get("POSTERN_DEPS"):
        folders.append(os.environ["POSTERN_DEPS"])
    return folders


def patch_text(path, member):
    """The bytes of one patch: a member of a tarball, or a whole compressed diff."""
    if member == "-":
        with gzip.open(path) as file:
            return file.read()
    with tarfile.open(path) as tar:
        return tar.extractfile(member).read()


def good(entry, file, path):
    """True if path holds what the entry wants of file; says so if it holds anything else."""
    try:
        if file == entry.orig[0]:
            fits = sha256(read_file(path)) == entry.orig[1]
        else:
            fits = all(wanted is None or sha256(patch_text(path, member)) == wanted
                       for patch_file, member, wanted in entry.patches if patch_file == file)
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        say(f"{path} is unreadable ({error}), ignored")
        return False
    if not fits:
        say(f"{path} has not the sha256 of the lock file, ignored")
    return fits


def find(entry):
    """{file: path} for the entry, or None if one of its files is not at hand."""
    found = {}
    for file in entry.files():
        for folder in cache_folders():
            path = os.path.join(folder, file)
            if os.path.exists(path) and good(entry, file, path):
                found[file] = path
                break
        else:
            return None
    return found


# --- the machine's mirror ------------------------------------------------------------------------


def one_line_sources(path):
    """Source entries of a sources.list: {"URIs", "Suites", "Components", "Signed-By", "Trusted"}."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)",
                             line.split("#")[0])
            if not match:
                continue
            options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
            yield {"URIs": match[2], "Suites": match[3], "Components": match[4],
                   "Signed-By": options.get("signed-by", ""), "Trusted": options.get("trusted", "")}


def deb822_sources(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        paragraphs = re.split(r"\n[ \t]*\n", file.read())
    for paragraph in paragraphs:
        fields, last = {}, None
        for line in paragraph.split("\n"):
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace() and last:
                fields[last] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                last = "-".join(part.capitalize() for part in name.strip().split("-"))
                last = {"Uris": "URIs"}.get(last, last)
                fields[last] = value.strip()
        if "URIs" in fields and fields.get("Enabled", "yes").lower() not in ("no", "false", "0"):
            yield fields


def machine_sources():
    for path in ["/etc/apt/sources.list"] + sorted(glob.glob("/etc/apt/sources.list.d/*.list")):
        if os.path.exists(path):
            yield from one_line_sources(path)
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        yield from deb822_sources(path)


def trixie_sources():
    """The machine's Debian mirrors, asked for trixie: paragraphs of a deb822 file."""
    wanted = {}
    for fields in machine_sources():
        suites = [s for s in fields.get("Suites", "").split() if KNOWN_SUITE.match(s)]
        if not suites or "main" not in fields.get("Components", "").split():
            continue
        for uri in fields["URIs"].split():
            if urllib.parse.urlsplit(uri).scheme == "cdrom":
                continue
            for suite in suites:
                security = "security" in suite or suite.rstrip("/").endswith("/updates")
                key = (uri.rstrip("/"), SUITES[1] if security else SUITES[0])
                wanted.setdefault(key, fields)
    # Other vendors publish for Debian's suites too; where a mirror says it is Debian's, ask only such.
    debian = {key: fields for key, fields in wanted.items() if "debian" in key[0].lower()}
    paragraphs = []
    for (uri, suite), fields in (debian or wanted).items():
        lines = ["Types: deb-src", f"URIs: {uri}", f"Suites: {suite}", "Components: main"]
        signed_by = fields.get("Signed-By") or (KEYRING if os.path.exists(KEYRING) else "")
        if signed_by:
            lines.append(f"Signed-By: {signed_by}")
        if fields.get("Trusted"):
            lines.append(f"Trusted: {fields['Trusted']}")
        paragraphs.append("\n".join(lines))
    return paragraphs


class Apt:
    """An apt of our own under build/: own sources, own lists, own cache."""

    def __init__(self):
        self.root = os.path.join(TOP, "build", "apt")
        paragraphs = trixie_sources()
        if not paragraphs:
            raise Trouble("no Debian mirror among the machine's apt sources; put the files of "
                          "firmware/deps/lock into a folder and name it in POSTERN_DEPS")
        for folder in ("sources", "lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.root, folder), exist_ok=True)
        with open(os.path.join(self.root, "sources", "postern.sources"), "w",
                  encoding="utf-8") as file:
            file.write("\n\n".join(paragraphs) + "\n")
        say("asking this machine's Debian mirror for " + " and ".join(SUITES))
        result = self.run("apt-get", "update", "-q")
        if result.returncode:
            say("apt-get update had errors:\n" + result.stdout)

    def run(self, tool, *arguments, cwd=None):
        options = ["-oDir::Etc::sourcelist=/dev/null",
                   f"-oDir::Etc::sourceparts={self.root}/sources",
                   f"-oDir::State::Lists={self.root}/lists",
                   f"-oDir::Cache={self.root}/cache",
                   "-oAPT::Sandbox::User=root", "-oAcquire::Languages=none",
                   "-oAcquire::Retries=3", "-oDPkg::Lock::Timeout=500"]
        return subprocess.run([tool, *options, *arguments], cwd=cwd, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=dict(os.environ, LC_ALL="C"))

    def download(self, package, version, folder):
        """Brings a source package's files into folder; apt's complaints, for the case that it matters.

        Some mirrors answer 404 for the .dsc of versions with a '+': apt then ends with an error
        although the tarballs came, so its exit code says nothing. The caller goes by sha256.
        """
        os.makedirs(folder, exist_ok=True)
        result = self.run("apt-get", "-q", "--download-only", "source", f"{package}={version}",
                          cwd=folder)
        return "\n".join(line for line in result.stdout.split("\n") if line.startswith("E:"))

    def from_pool(self, package, files, folder):
        """Brings files that the suites' lists no longer name (or not yet), from where every mirror keeps
        them. Only for files pinned by sha256: nothing here checks a signature."""
        part = package[:4] if package.startswith("lib") else package[:1]
        with open(os.path.join(self.root, "sources", "postern.sources"), encoding="utf-8") as sources:
            mirrors = re.findall(r"^URIs: (https?://\S+)$", sources.read(), re.M)
        for file in files:
            for mirror in mirrors:
                name = "updates/main" if "security" in mirror else "main"
                url = f"{mirror}/pool/{name}/{part}/{package}/{urllib.parse.quote(file)}"
                try:
                    with urllib.request.urlopen(url, timeout=60) as answer:
                        data = answer.read()
                except OSError:
                    continue
                with open(os.path.join(folder, file), "wb") as out:
                    out.write(data)
                break

    def versions(self, package):
        """[(version, {file: sha256})] of the source package, the newest first."""
        found = []
        for paragraph in self.run("apt-cache", "showsrc", package).stdout.split("\n\n"):
            version = re.search(r"^Version: (\S+)", paragraph, re.M)
            if not version or not re.search(rf"^Package: {re.escape(package)}$", paragraph, re.M):
                continue
            sums = re.search(r"^Checksums-Sha256:\s*\n((?:[ \t]+\S.*\n?)+)", paragraph, re.M)
            rows = [line.split() for line in (sums[1] if sums else "").strip().split("\n") if line]
            found.append((version[1], {row[2]: row[0] for row in rows}))

        class Newest:
            """Debian's own order of versions."""
            def __init__(self, pair):
                self.version = pair[0]

            def __lt__(self, other):
                return subprocess.run(["dpkg", "--compare-versions", self.version, "gt",
                                       other.version], check=False).returncode == 0
        return sorted(found, key=Newest)


def download_folder():
    """Where downloads are kept: the user's cache, which serves every checkout, or else the build folder."""
    try:
        os.makedirs(user_cache(), exist_ok=True)
        if os.access(user_cache(), os.W_OK):
            return user_cache()
    except OSError:
        pass
    os.makedirs(DOWNLOADS, exist_ok=True)
    return DOWNLOADS


def keep(folder):
    """Moves what apt brought to where the next build finds it."""
    target = download_folder()
    for file in os.listdir(folder):
        if re.search(r"\.(tar\.\w+|diff\.gz|deb)$", file):
            shutil.move(os.path.join(folder, file), os.path.join(target, file))
    shutil.rmtree(folder)


def stand_in(entry, apt):
    """The suite's current version of the same series, on apt's signature alone."""
    for version, files in apt.versions(entry.package):
        upstream = version.split(":")[-1].split("-")[0]
        if not upstream.startswith(entry.series):
            continue
        orig = [file for file in files if re.search(r"\.orig\.tar\.\w+$", file)]
        if not orig:
            continue
        folder = os.path.join(TOP, "build", "apt", "new")
        apt.download(entry.package, version, folder)
        got = {file for file, wanted in files.items()
               if os.path.exists(os.path.join(folder, file))
               and sha256(read_file(os.path.join(folder, file))) == wanted}
        found = Entry(entry.name, upstream)
        found.package, found.package_version = entry.package, version
        found.orig = (orig[0], files[orig[0]])
        for file in sorted(got):
            if file.endswith(".diff.gz"):
                found.patches.append((file, "-", None))
            elif ".debian.tar." in file:
                with tarfile.open(os.path.join(folder, file)) as tar:
                    found.patches += [(file, name, None) for name in tar.getnames()
                                      if re.match(r"debian/patches/.*CVE", name)]
        if orig[0] in got:
            keep(folder)
            line = "*" * 100
            print(f"{line}\n  NOT THE PINNED VERSION: {entry.name} {entry.version} has left the archive, "
                  f"building with {entry.package} {version}\n  (signed by Debian, but not the bytes this "
                  f"project was tested with). firmware/deps/README.md says how to move\n  the pin."
                  f"\n{line}", flush=True)
            return found
        shutil.rmtree(folder)
    return None


# --- unpacking -----------------------------------------------------------------------------------


def upstream_part(diff):
    """A Debian diff without what it does to debian/."""
    lines = diff.split(b"\n")
    starts = [i for i in range(len(lines) - 2) if lines[i].startswith(b"--- ")
              and lines[i + 1].startswith(b"+++ ") and lines[i + 2].startswith(b"@@ ")]
    kept = []
    for start, end in zip(starts, starts[1:] + [len(lines)]):
        if b"/debian/" not in lines[start + 1].split(b"\t")[0]:
            kept += lines[start:end]
    return b"\n".join(kept).rstrip(b"\n") + b"\n"


def tarball(entry, path):
    """The bytes of the source tarball, which may lie inside a Debian package."""
    if not entry.inner:
        return read_file(path)
    package = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], check=False, stdout=subprocess.PIPE)
    if package.returncode:
        raise Trouble(f"{entry.name}: dpkg-deb cannot read {path}")
    with tarfile.open(fileobj=io.BytesIO(package.stdout)) as tar:
        return tar.extractfile(entry.inner).read()


def unpack(entry, found, folder):
    os.makedirs(folder)
    with tarfile.open(fileobj=io.BytesIO(tarball(entry, found[entry.orig[0]]))) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extraction_filter = tarfile.data_filter
        members = []
        for member in tar:
            parts = member.name.split("/", 1)
            if (len(parts) == 2 and parts[1].startswith(entry.take or "") and parts[1]
                    and (member.isfile() or member.isdir())):
                member.name = parts[1]
                members.append(member)
        tar.extractall(folder, members)
    for file, name, _ in entry.patches:
        text = patch_text(found[file], name)
        apply(folder, upstream_part(text) if name == "-" else text, f"{entry.name}: {file} {name}")
    for file, wanted in entry.ours:
        text = read_file(os.path.join(PATCHES, file))
        if sha256(text) != wanted:
            raise Trouble(f"{entry.name}: {file} has not the sha256 of the lock file")
        apply(folder, text, f"{entry.name}: {file}")


def apply(folder, text, name):
    result = subprocess.run(["patch", "-p1", "-s", "--forward", "--no-backup-if-mismatch"],
                            cwd=folder, input=text, check=False, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    if result.returncode:
        raise Trouble(f"{name} does not apply:\n" + result.stdout.decode(errors="replace"))


def first_at_hand(entries):
    """(entry, {file: path}) of the first alternative whose files are all there, or None."""
    for entry in entries:
        found = find(entry)
        if found:
            return entry, found
    return None


def gather(wanted):
    """[(entry, {file: path})] for every library of the lock file, or those wanted of the boards' lock file."""
    alternatives = {}
    for entry in read_lock(LOCK_BOARDS if wanted else LOCK):
        if not wanted or entry.name in wanted:
            alternatives.setdefault(entry.name, []).append(entry)
    if set(wanted) - set(alternatives):
        raise Trouble(f"the lock file has no {', '.join(sorted(set(wanted) - set(alternatives)))}")
    chosen, complaints, apt = [], [], None
    for name, entries in alternatives.items():
        pick = first_at_hand(entries[:1])
        for entry in [] if pick else entries:
            apt = apt or Apt()
            say(f"fetching {entry.package} {entry.package_version}")
            folder = os.path.join(TOP, "build", "apt", "new")
            complaints.append(apt.download(entry.package, entry.package_version, folder))
            apt.from_pool(entry.package, set(entry.files()) - set(os.listdir(folder)), folder)
            keep(folder)
            # An entry's tarball may lie with its alternative only, so look from the first one again.
            pick = first_at_hand(entries)
            if pick and pick[0] is entries[0]:
                break
        if not pick and os.environ.get("CI") != "true":
            entry = stand_in(entries[0], apt)
            found = entry and find(entry)
            pick = found and (entry, found)
        if not pick:
            raise Trouble(f"{name} {entries[0].version} is to be had nowhere; apt said:\n"
                          + "\n".join(complaints)
                          + "\nPut the files of firmware/deps/lock into a folder and name it in "
                          "POSTERN_DEPS, or see firmware/deps/README.md.")
        chosen.append(pick)
    return chosen


def main():
    if len(sys.argv) < 2:
        raise Trouble("usage: fetch.py OUT [NAME...]")
    out = os.path.abspath(sys.argv[1])
    pins = {(e.name, e.package_version) for e in read_lock(LOCK) + read_lock(LOCK_BOARDS)}
    temporary = f"{out}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    versions = []
    for entry, found in gather(sys.argv[2:]):
        unpack(entry, found, os.path.join(temporary, entry.name))
        pinned = (entry.name, entry.package_version) in pins
        versions.append(f"{entry.name} {entry.version} {entry.package_version}"
                        f"{'' if pinned else ' UNPINNED'}\n")
    with open(os.path.join(temporary, "versions"), "w", encoding="ascii") as file:
        file.writelines(versions)
    shutil.rmtree(out, ignore_errors=True)
    os.rename(temporary, out)
    say("sources ready: " + ", ".join(" ".join(line.split()[:2]) for line in versions))


if __name__ == "__main__":
    try:
        main()
    except (Trouble, OSError) as trouble:
        sys.exit(f"deps: {trouble}")
