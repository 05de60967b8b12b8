"""What went in against what lies inside: equal but for fields that were added on top."""
import re

from support.harness import check

ADDED = re.compile(rb'(?:(?:Received|Return-Path|Delivered-To|X-Original-To|Envelope-to|'
                   rb'Delivery-date|X-Spam-[\w-]+): ?[^\n]*\n(?:[ \t][^\n]*\n)*)*', re.I)


def crlf(data):
    """Line ends as on the wire, whatever the mailbox keeps."""
    return re.sub(rb'\r?\n', b'\r\n', data)


def same(sent, got, where='inside'):
    sent, got = crlf(sent), crlf(got)
    if not got.endswith(sent):
        head = ADDED.match(got).end()
        at = next((i for i, (a, b) in enumerate(zip(sent, got[head:])) if a != b), -1)
        check(False, '%s: differs at octet %d of %d: sent %r, got %r', where, at, len(sent),
              sent[max(0, at - 30):at + 60], got[head:][max(0, at - 30):at + 60])
    front = got[:len(got) - len(sent)]
    check(ADDED.fullmatch(front), '%s: strange lines in front: %r', where, front)
    check(b'by mx.example.org' in front, '%s: no Received of ours: %r', where, front)
    return front
