'use strict';
'require form';
'require uci';
'require view';
'require postern.service as service';

/* --- what a value may be: as /usr/libexec/postern-config and Postern itself would have it ------------------------ */

const QUOTE = /["\\\n\r]/;
const BLANK = /[\s#]/;
const DIGITS = /^[0-9]+$/;
const SIZE = /^([0-9]+)([KMG]?)$/;
const TIME = /^([0-9]+)(ms|s|m|h|d|)$/;
const SCORE = /^-?[0-9]{1,4}(\.[0-9]{1,3})?$/;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const MAIL_LABEL = /^[A-Za-z0-9\u0080-\uffff]([A-Za-z0-9\u0080-\uffff-]*[A-Za-z0-9\u0080-\uffff])?$/;
const OCTET = /^(0|[1-9][0-9]{0,2})$/;
const HEX_GROUP = /^[0-9A-Fa-f]{1,4}$/;
const PORTED = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/;
const CODE_RANGE = /^\[([0-9]{1,3})-([0-9]{1,3})\]$/;
const PINS = /^sha256:[0-9A-Fa-f]{64}(,[0-9A-Fa-f]{64}){0,3}$/;

const SIZE_UNITS = { '': 1, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30 };
const TIME_UNITS = { '': 1000, 'ms': 1, 's': 1000, 'm': 60000, 'h': 3600000, 'd': 86400000 };

function isDomain(text, label) {
	const labels = text.split('.');

	return text.length <= 253 && labels.every(one => one.length <= 63 && (label ?? LABEL).test(one)) &&
		!DIGITS.test(labels[labels.length - 1]);
}

function isMailDomain(text) {
	return isDomain(text, MAIL_LABEL);
}

function isIPv4(text) {
	const parts = text.split('.');

	return parts.length == 4 && parts.every(part => OCTET.test(part) && +part <= 255);
}

function isIPv6(text) {
	const halves = text.split('::');
	let groups = 0;

	if (halves.length > 2)
		return false;
	for (let i = 0; i < halves.length; i++) {
		if (halves[i] == '' && halves.length == 2)
			continue;
		const parts = halves[i].split(':');
		const last = parts[parts.length - 1];

		if (i == halves.length - 1 && last.includes('.')) {
			if (!isIPv4(last))
				return false;
			parts.splice(-1, 1, '0', '0');
		}
		if (!parts.every(part => HEX_GROUP.test(part)))
			return false;
		groups += parts.length;
	}
	return halves.length == 2 ? groups < 8 : groups == 8;
}

function isEndpoint(text) {
	const m = text.match(PORTED);

	return !!m && +m[3] <= 65535 && (m[1] ? isIPv6(m[1]) : isIPv4(m[2]));
}

function isNetwork(text) {
	const [ address, bits, more ] = text.split('/');
	const four = isIPv4(address);

	if (more != null || (!four && !isIPv6(address)))
		return false;
	return bits == null || (OCTET.test(bits) && +bits <= (four ? 32 : 128));
}

function isMailbox(text) {
	const at = text.lastIndexOf('@');

	return at > 0 && isMailDomain(text.slice(at + 1));
}

/* A check gives '' or what is wanted. All but texts are one word. */
function word(wanted, isGood) {
	return value => {
		if (QUOTE.test(value))
			return _('Quotes, backslashes and line ends cannot stand here.');
		if (BLANK.test(value))
			return _('One word is wanted, without blanks and #.');
		return isGood(value) ? '' : wanted;
	};
}

function number(least, most) {
	return word(_('A number from %d to %d is wanted.').format(least, most),
		value => DIGITS.test(value) && +value >= least && +value <= most);
}

function scaled(pattern, units, least, most, wanted) {
	const bytes = text => {
		const m = text.match(pattern);
		return m ? +m[1] * units[m[2]] : NaN;
	};

	return word(wanted.format(least, most), value => bytes(value) >= bytes(least) && bytes(value) <= bytes(most));
}

function size(least, most) {
	return scaled(SIZE, SIZE_UNITS, least, most, _('A size from %s to %s is wanted, as 256K or 50M.'));
}

function time(least, most) {
	return scaled(TIME, TIME_UNITS, least, most, _('A time from %s to %s is wanted, as 30s or 5m.'));
}

function text(value) {
	return QUOTE.test(value) ? _('Quotes, backslashes and line ends cannot stand here.') : '';
}

const hostName = word(_('A host name is wanted, as mx.example.org.'), value => isDomain(value));
const domainName = word(_('A domain is wanted, as example.org.'), isMailDomain);
const route = word(_('A domain is wanted, as example.org, .example.org for all below it, or * for all others.'),
	value => value == '*' || isMailDomain(value[0] == '.' ? value.slice(1) : value));
const endpoint = word(_('An address and a port are wanted, as 192.168.1.10:25 or [fd00::10]:25; no name.'), isEndpoint);
const relayServer = word(_('An address and a port are wanted, as 192.168.1.1:25, [fd00::1]:25 or lmtp:192.168.1.1:24.'),
	value => isEndpoint(value.startsWith('lmtp:') ? value.slice(5) : value));
const network = word(_('A network is wanted, as 192.0.2.0/24, 2001:db8::/32, or one address.'), isNetwork);
const trusted = word(_('A network is wanted, as 192.168.0.0/16, one address, or none.'),
	value => value == 'none' || isNetwork(value));
const mailbox = word(_('An address is wanted, as a@example.org, or @example.org for its whole domain.'),
	value => isMailbox(value) || (value[0] == '@' && isMailDomain(value.slice(1))));
const resolver = word(_('An address is wanted, as 192.168.1.1 or [fd00::1]:5353; or system, or off.'),
	value => value == 'off' || value == 'system' || isIPv4(value) || isIPv6(value) || isEndpoint(value));
const path = word(_('A file is wanted, as /etc/postern/mx.pem.'), value => value[0] == '/');
const score = word(_('A score is wanted, as 5 or -1.5.'), value => SCORE.test(value));
const scoreOrOff = word(_('A score is wanted, as 5 or 7.5, or off.'), value => value == 'off' || SCORE.test(value));
const pin = word(_('sha256: and up to four hashes of 64 hexadecimal digits are wanted, with commas between.'),
	value => PINS.test(value));
const code = word(_('An answer is wanted, as 127.0.0.2 or 127.0.0.[2-9].'), value => {
	const parts = value.split('.');
	const isOctet = part => OCTET.test(part) && +part <= 255;

	return parts.length == 4 && parts[0] == '127' && parts.slice(1).every(part => {
		const m = part.match(CODE_RANGE);
		return part == '*' || (m ? +m[1] <= +m[2] && +m[2] <= 255 : isOctet(part));
	});
});

/* --- the options ----------------------------------------------------------------------------------------------- */

/* How an option is given: [class, check, what stands in the empty field, choices]. */
const one = (check, usual) => ({ type: form.Value, check, usual });
const many = (check, usual) => ({ type: form.DynamicList, check, usual });
const flag = (usual = '0') => ({ type: form.Flag, usual });
const pick = (usual, choices) => ({ type: form.ListValue, usual, choices });

const TABS = [
	[ 'general', _('General'), _('What Postern is called, and how strict it is.') ],
	[ 'connections', _('Connections'), _('Where mail comes in, and how much of it at a time.') ],
	[ 'tls', _('Encryption'), _('Certificates for STARTTLS and for users who log in.') ],
	[ 'spam', _('Spam'), _('What counts as spam. Everything that is found adds to one score.') ],
	[ 'access', _('Allow and deny'), _('Clients, senders and recipients that you have decided about.') ],
	[ 'limits', _('Limits'), _('Sizes and numbers. The memory that Postern takes at most follows from them.') ]
];

/* Of each tab: option, how it is given, title, help. */
const MAIN = {
	general: [
		[ 'enabled', flag(), _('Enabled'),
			_('Start Postern with the router. Without a mail server above nothing is listened on.') ],
		[ 'jail', flag('1'), _('Jail'),
			_('Where OpenWrt has ujail, Postern sees no more of the router than its own files. Off ' +
				'only to find out whether the jail is what stands in the way.') ],
		[ 'hostname', one(hostName, 'mx.example.org'), _('Host name'),
			_('The name that your MX record points to. Postern calls itself so towards other ' +
				'servers. Left empty: the router\'s own name.') ],
		[ 'mode', pick(null, [
			[ 'observe', _('Observe: nothing is refused or marked for being spam; it is only logged what ' +
				'would have been done') ],
			[ 'tag', _('Tag: spam is delivered, but marked with X-Spam-Flag, so that a mail program can ' +
				'sort it out') ],
			[ 'enforce', _('Enforce: spam is refused, and its sender is told so') ]
		]), _('Mode'),
			_('Begin with Tag. When you have seen for a week that it judges well, change to ' +
				'Enforce. Mail for domains that are not yours, broken mail and what you deny are ' +
				'refused in every mode.') ]
	],
	connections: [
		[ 'listen', many(endpoint, '0.0.0.0:25'), _('Mail from the world'),
			_('Addresses and ports that other mail servers connect to: 0.0.0.0:25 for IPv4 and ' +
				'[::]:25 for IPv6. The firewall must let them through: Network, Firewall, ' +
				'Traffic Rules.') ],
		[ 'listen_tls', many(endpoint, '0.0.0.0:465'), _('The same, TLS at once'),
			_('Addresses where clients begin with TLS without asking. Mail servers do not need it.') ],
		[ 'submission', many(endpoint, '0.0.0.0:587'), _('Mail of your own users'),
			_('Addresses where your users log in and send, port 587 by custom. They log in to your ' +
				'mail server through Postern, always encrypted.') ],
		[ 'submission_to', one(endpoint, '192.168.1.10:587'), _('Where users log in'),
			_('The mail server that knows your users\' passwords. Needed if users may send.') ],
		[ 'trust', many(trusted, '192.168.0.0/16'), _('Trusted networks'),
			_('Clients that are spared limits and checks of their address. Left empty: all private ' +
				'networks; none: nobody. Trusted clients still cannot send to other people\'s ' +
				'domains.') ],
		[ 'sessions', one(number(1, 65535), '200'), _('Connections at a time'),
			_('Further clients are asked to come again later. Each takes memory; a rise above the ' +
				'value at start needs a restart.') ],
		[ 'per_client', one(number(1, 65535), '20'), _('Connections of one client'),
			_('From one IPv4 address or IPv6 /64. Trusted clients are not counted.') ],
		[ 'tarpit', one(number(0, 1048576), '0'), _('Slow down offenders'),
			_('Read clients that make errors or are refused at so many bytes a second, so that ' +
				'they wait on themselves. 0 for not at all.') ],
		[ 'early_talk', one(time('0', '60s'), '2s'), _('Wait before greeting'),
			_('A client that cannot wait so long gives itself away. 0 for no wait. Known good ' +
				'clients are greeted at once.') ],
		[ 'idle', one(time('1ms', '1d'), '5m'), _('Idle time'),
			_('A client that sends nothing for so long is hung up on. Mail servers expect 5 ' +
				'minutes.') ]
	],
	tls: [
		[ 'tls', pick('auto', [ [ 'auto', _('auto: offered') ], [ 'off', _('off: never') ] ]), _('STARTTLS'),
			_('Whether clients may encrypt. Without a certificate of yours Postern makes one ' +
				'itself, which is enough between mail servers.') ],
		[ 'cert', one(path, '/etc/acme/mx.example.org/fullchain.cer'), _('Certificate'),
			_('A PEM file, with the certificates up to the CA, as OpenWrt\'s acme package makes ' +
				'it. The group postern must be able to read it. A renewal is taken over by itself.') ],
		[ 'certkey', one(path, '/etc/acme/mx.example.org/mx.example.org.key'), _('Private key'),
			_('Its key, if that is not in the same file. The group postern must be able to read ' +
				'it.') ],
		[ 'tls_state', one(path, '/var/lib/postern'), _('Folder for our own certificate'),
			_('Where a certificate that Postern has made itself is kept. /var is lost at a reboot, ' +
				'and then another one is made, which does no harm.') ],
		[ 'ca', one(path, '/etc/ssl/certs/ca-certificates.crt'), _('Certificate authorities'),
			_('A PEM file of the CAs that may have signed your mail server\'s certificate. Only ' +
				'for "Verify the name" of a mail server.') ],
		[ 'require_tls_from', many(domainName, 'bank.example'), _('Encryption is a must for'),
			_('Mail from these sender domains is refused if it comes without encryption.') ]
	],
	spam: [
		[ 'tag_score', one(scoreOrOff, '5'), _('Mark from score'),
			_('A message with this score or more is marked as spam.') ],
		[ 'reject_score', one(scoreOrOff, '15'), _('Refuse from score'),
			_('With this score or more it is refused (in mode Enforce). off: no message is refused ' +
				'for its score.') ],
		[ 'subject', one(text, '[SPAM]'), _('Mark in the subject'),
			_('Put before the subject of marked mail, for readers whose mail program cannot sort ' +
				'by X-Spam-Flag. It breaks the signature of signed mail; best left empty.') ],
		[ 'rules', flag(), _('Rules'),
			_('Use the rules that come with Postern, which look at the mail\'s headers.') ],
		[ 'os', flag(), _('Guess operating systems'),
			_('Note which system each client seems to run, by how it begins its connection. ' +
				'It is shown with each message and scores nothing by itself.') ],
		[ 'rules_more', many(path, '/etc/postern/rules'), _('Rules of your own'),
			_('Files or folders with further rules, in SpamAssassin\'s language.') ],
		[ 'spf_fail', one(score, '2'), _('SPF: fail'),
			_('Added to the score if the sender\'s domain says that this client may not send its ' +
				'mail.') ],
		[ 'spf_softfail', one(score, '1'), _('SPF: softfail'),
			_('Added if the domain says so with half its heart.') ],
		[ 'greylist', pick('off', [ [ 'on', _('on') ], [ 'off', _('off') ] ]), _('Greylisting'),
			_('Ask unknown senders that look a little bad to come again after two minutes. Mail ' +
				'servers do so by themselves, much spam software does not. Some mail is late the ' +
				'first time.') ],
		[ 'resolver', many(resolver, '192.168.1.1'), _('DNS servers'),
			_('Up to four, asked about clients and senders. Left empty: those of the router. ' +
				'Operators of block lists refuse questions from large public DNS servers.') ],
		[ 'dns_trouble', pick('accept', [
			[ 'accept', _('accept: take the mail unchecked') ],
			[ 'defer', _('defer: ask to come again later') ]
		]), _('If no DNS server answers'),
			_('What is done with mail that cannot be checked because of that.') ],
		[ 'dns_cache', one(size('16K', '256M'), '512K'), _('DNS memory'),
			_('For answers that are kept up to an hour.') ]
	],
	access: [
		[ 'allow_client', many(network, '192.0.2.7'), _('Always allow clients'),
			_('Their mail is delivered whatever its score. They still cannot send to other ' +
				'people\'s domains.') ],
		[ 'deny_client', many(network, '198.51.100.0/24'), _('Deny clients'),
			_('Networks and addresses from which nothing is taken.') ],
		[ 'deny_sender', many(mailbox, '@spam.example'), _('Deny senders'),
			_('Sender addresses or whole domains (with @ in front) that are refused.') ],
		[ 'deny_recipient', many(mailbox, 'old@example.org'), _('Deny recipients'),
			_('Addresses of yours that take no mail from outside.') ]
	],
	limits: [
		[ 'message', one(size('1K', '4G'), '50M'), _('Largest message'),
			_('Larger ones are refused. Your mail server may take less.') ],
		[ 'hold', one(size('1K', '256M'), '256K'), _('Held back whole'),
			_('A message up to this size waits in memory until it is judged; a larger one is ' +
				'passed on while it comes, and its end is withheld until the verdict.') ],
		[ 'hold_pool', one(size('64K', '4G'), _('1/16 of the memory, 16M at most')), _('Memory for held mail'),
			_('Of all of them together. A rise needs a restart.') ],
		[ 'header', one(size('1K', '4M'), '128K'), _('Headers that are looked at'),
			_('What is beyond goes on unseen.') ],
		[ 'recipients', one(number(1, 50000), '1000'), _('Recipients of a message'),
			_('The client sends the message again for the others.') ],
		[ 'hops', one(number(1, 1000), '100'), _('Servers on the way'),
			_('A message that has passed more is going round in circles, and is refused.') ],
		[ 'ledger', one(number(0, 1000000), '4096'), _('Remembered deliveries'),
			_('For clients that went away before they heard that their mail was delivered, so that ' +
				'it does not come twice. 48 bytes each; 0 for none.') ],
		[ 'bare_newline', pick('normalize', [
			[ 'normalize', _('normalize: repair them') ],
			[ 'reject', _('reject: refuse the message') ]
		]), _('Broken line ends'),
			_('What is done with a message whose lines do not end as they should. Either way ' +
				'nothing can be smuggled past Postern.') ]
	]
};

const RELAY_TABS = [ [ 'server', _('Mail server') ], [ 'more', _('More') ] ];

const RELAY = {
	server: [
		[ 'domain', many(route, 'example.org'), _('Domains'),
			_('Mail to addresses of these domains goes to this server. .example.org stands for all ' +
				'domains below example.org; * for every domain without a server of its own.') ],
		[ 'server', many(relayServer, '192.168.1.10:25'), _('Servers'),
			_('Address and port. Of several, the next is taken when one cannot be reached. Take ' +
				'the router\'s address out of its trusted networks (mynetworks): else it relays for ' +
				'anybody whose mail comes from here.') ],
		[ 'tls', pick('may', [
			[ 'may', _('may: if the server offers it') ],
			[ 'must', _('must: or no mail goes there') ],
			[ 'off', _('off: never') ]
		]), _('Encryption'),
			_('On the way from the router to the server.') ]
	],
	more: [
		[ 'verify', one(hostName, 'mail.example.org'), _('Verify the name'),
			_('The server\'s certificate must be for this name, and signed by one of the ' +
				'certificate authorities under Encryption. Makes encryption a must.') ],
		[ 'pin', one(pin, 'sha256:…'), _('Pin the certificate'),
			_('The hash of the server\'s certificate or public key, instead of a name. Makes ' +
				'encryption a must.') ],
		[ 'connections', one(number(1, 10000), '16'), _('Connections'),
			_('To each of these servers at a time.') ],
		[ 'pass', pick('auto', [
			[ 'auto', _('auto: the best that it offers') ],
			[ 'xforward', _('xforward: XFORWARD') ],
			[ 'proxy', _('proxy: a PROXY header') ],
			[ 'none', _('none: not at all') ]
		]), _('Tell who the client is'),
			_('How the server learns where mail came from. PROXY only if its listener expects it.') ],
		[ 'text', pick('own', [
			[ 'own', _('own: Postern\'s words') ],
			[ 'pass', _('pass: the server\'s words') ]
		]), _('Words of a refusal'),
			_('What the sender reads when the server refuses mail. Its own words may tell more ' +
				'about it than you like.') ],
		[ 'routing', pick('refuse', [ [ 'refuse', _('refuse') ], [ 'allow', _('allow') ] ]),
			_('Addresses with %, ! or @ inside'),
			_('Such an address can ask your server to send the mail on elsewhere.') ]
	]
};

const DNSBL = [
	[ 'zone', one(hostName, 'zen.spamhaus.org'), _('Zone'),
		_('The list\'s name in the DNS, with your key in front if its operator gave you one. ' +
			'Read the operator\'s terms first.') ],
	[ 'score', one(score, '4'), _('Score'),
		_('Added to the score of mail from whoever is on the list. Less than 0 for a list of ' +
			'good senders.') ],
	[ 'reject', flag(), _('Refuse at once'),
		_('Instead of a score. For lists that are never wrong.') ],
	[ 'codes', many(code, '127.0.0.[2-9]'), _('Answers that count'),
		_('Left empty: all of them. What each means is on the operator\'s page.') ],
	[ 'domain', flag(), _('A list of domains'),
		_('It is asked about the names that the client and the sender give, not about the ' +
			'client\'s address.') ],
	[ 'direct', flag(), _('Ask its own servers'),
		_('Past your DNS servers, for lists that refuse theirs.') ],
	[ 'dry_run', flag(), _('Only try it'),
		_('Hits are logged and shown in the status, and do nothing.') ]
];

/* An option whose value stands or falls with another one: what is missing, or ''. */
const NEEDS = {
	certkey: [ 'cert', _('The certificate itself is missing.') ],
	submission: [ 'submission_to', _('"Where users log in" is missing.') ]
};

function isGiven(value) {
	return Array.isArray(value) ? value.length > 0 : value != null && value !== '';
}

function addOption(section, tab, [ name, given, title, help ], required) {
	const option = tab ? section.taboption(tab, given.type, name, title, help)
		: section.option(given.type, name, title, help);

	if (given.type === form.Flag) {
		/* The other words that UCI has for 1. */
		option.load = function(section_id) {
			const value = uci.get('postern', section_id, name);
			return value == null ? null : [ '1', 'on', 'yes', 'true' ].includes(value) ? '1' : '0';
		};
		option.rmempty = name != 'enabled';
		option.default = given.usual;
		return;
	}
	option.rmempty = option.optional = !required.includes(name);
	if (given.choices) {
		for (const [ value, label ] of given.choices)
			option.value(value, label);
		if (given.usual)
			option.placeholder = _('%s (usual)').format(given.usual);
		return;
	}
	option.placeholder = given.usual;
	option.validate = function(section_id, value) {
		if (value == null || value === '')
			return true;
		const wrong = given.check(value);

		if (wrong)
			return '%s: %s'.format(title, wrong);
		if (NEEDS[name] && !isGiven(this.section.formvalue(section_id, NEEDS[name][0])))
			return '%s: %s'.format(title, NEEDS[name][1]);
		return true;
	};
}

/* LuCI does nothing and says nothing when a section is added or removed while something else is wrong in the form. */
function addSections(section, button) {
	section.anonymous = true;
	section.addremove = true;
	section.addbtntitle = button;
	section.handleAdd = function(...values) {
		return this.map.save().then(() => form.TypedSection.prototype.handleAdd.apply(this, values));
	};
	section.handleRemove = function(section_id) {
		uci.remove('postern', section_id);
		return this.map.save();
	};
}

const APPLIED = 'postern-applied';

return view.extend({
	load() {
		return uci.load('postern');
	},

	async render() {
		const map = new form.Map('postern', _('Postern: settings'),
			_('A filter in front of your mail server. Changes are taken over without a break: running ' +
				'connections end as they began.'));
		let section;

		section = map.section(form.TypedSection, 'relay', _('Mail servers'),
			_('Where your mail goes. Without one, nothing is listened on.'));
		addSections(section, _('Add a mail server'));
		for (const [ tab, title ] of RELAY_TABS) {
			section.tab(tab, title);
			for (const row of RELAY[tab])
				addOption(section, tab, row, [ 'domain', 'server' ]);
		}

		section = map.section(form.NamedSection, 'main', 'postern', _('Filter'));
		for (const [ tab, title, help ] of TABS) {
			section.tab(tab, title, help);
			for (const row of MAIN[tab])
				addOption(section, tab, row, [ 'mode' ]);
		}
		const mode = section.children.find(option => option.option == 'mode');
		mode.widget = 'radio';
		mode.orientation = 'vertical';
		mode.default = 'enforce';

		section = map.section(form.TypedSection, 'dnsbl', _('DNS lists'),
			_('Lists of bad (or good) clients and domains, kept by others and asked by DNS. A list that ' +
				'is not well is left out until it is.'));
		addSections(section, _('Add a list'));
		for (const row of DNSBL)
			addOption(section, null, row, [ 'zone' ]);

		const panel = service.panel();
		const page = E('div', {}, [
			E('style', {}, [ '#cbi-postern .cbi-value-description { overflow-wrap: anywhere }' ]),
			await map.render(),
			panel
		]);

		/* Saving cannot say whether Postern likes it all; so ask, once the page is there again. */
		document.addEventListener('uci-applied', () => window.sessionStorage.setItem(APPLIED, '1'));
		if (panel.check && window.sessionStorage.getItem(APPLIED)) {
			window.sessionStorage.removeItem(APPLIED);
			panel.check();
		}
		return page;
	}
});
