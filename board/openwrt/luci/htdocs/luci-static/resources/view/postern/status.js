'use strict';
'require dom';
'require poll';
'require uci';
'require view';
'require postern.service as service';

/* Everything a stranger can have written (senders, recipients, hits) gets into the page as text only: children are
 * always given to E() in an array, because LuCI takes a bare string for HTML. */

const SECONDS = 5;
const SHOWN = 10;
const SVG = 'http://www.w3.org/2000/svg';

const KINDS = [
	[ 'accepted', _('accepted'), '#3f9d63' ],
	[ 'tagged', _('tagged'), '#d9a21b' ],
	[ 'deferred', _('deferred'), '#4f7fd1' ],
	[ 'refused', _('refused'), '#cc4b41' ]
];

const MODES = {
	observe: _('Mode observe: nothing is refused or marked for being spam, it is only logged.'),
	tag: _('Mode tag: spam is delivered with X-Spam-Flag. Change to enforce when it judges well.'),
	enforce: _('Mode enforce: spam is refused.')
};

const STATES = {
	'up': [ _('up'), 'good' ],
	'down': [ _('cannot be reached'), 'bad' ],
	'not reached yet': [ _('not spoken with yet'), 'unknown' ],
	'good': [ _('good'), 'good' ],
	'rests': [ _('left out'), 'bad' ]
};

const OUTCOMES = {
	delivered: _('delivered'),
	partial: _('delivered to some of the recipients'),
	quarantined: _('put into quarantine'),
	dropped: _('thrown away, as configured'),
	replayed: _('was delivered before, and said so again'),
	refused: _('refused'),
	deferred: _('asked to come again'),
	unknown: _('the mail server never answered'),
	aborted: _('the client left')
};

/* The reasons of the log, as an owner would say it. */
const REASONS = {
	none: '',
	client_denied: _('this client is on your deny list'),
	sender_denied: _('this sender is on your deny list'),
	recipient_denied: _('this recipient is on your deny list'),
	relay_denied: _('no mail server of yours takes this domain'),
	routing_characters: _('a request to send it on elsewhere'),
	too_many_recipients: _('too many recipients at once'),
	other_route: _('recipients of different mail servers at once'),
	listed: _('on a block list'),
	score: _('looks like spam'),
	score_deferred: _('looks a little like spam'),
	greylisted: _('first contact of an unknown sender'),
	rate_client: _('too much mail of this network'),
	rate_sender: _('too much mail of this sender domain'),
	refused_session: _('refused before in the same session'),
	checks_failed: _('no DNS server answered'),
	message_size: _('too big'),
	nul_byte: _('broken message: a NUL byte'),
	bare_newline: _('broken message: line ends'),
	tls_required: _('came without encryption'),
	tls_busy: _('too many TLS handshakes at a time'),
	login_refused: _('wrong user name or password'),
	login_failed: _('the mail server could not be asked about the login'),
	login_lost: _('the mail server hung up on a user'),
	hops: _('goes round in circles'),
	memory: _('short of memory'),
	errors: _('too many errors'),
	idle: _('the client was silent for too long'),
	slow: _('the client was too slow'),
	sessions: _('all sessions were taken'),
	overload: _('overload, and an unknown client'),
	per_client: _('too many connections of this network'),
	shutdown: _('Postern was being stopped'),
	relay_failed: _('the mail server did not take it'),
	fates: _('the mail server took it for some recipients only'),
	unknown_recipient: _('the mail server does not know the recipient'),
	refused_before: _('the mail server refused it before'),
	relay_refused: _('the mail server refused it'),
	reply_late: _('the mail server answered too late')
};

const COUNTERS = {
	connections: _('connections of clients'),
	transactions: _('messages begun'),
	delivered: _('messages delivered'),
	tagged: _('of these marked as spam'),
	deferred: _('asked to come again'),
	refused: _('refused for good'),
	tls_sessions: _('encrypted connections'),
	relay_connects: _('connections to your mail servers'),
	greylisted: _('recipients greylisted'),
	rate_limited: _('refused for a while: too much of one network or domain'),
	quarantined: _('put into quarantine'),
	dropped: _('thrown away, as configured'),
	partial: _('delivered to some recipients only'),
	replayed: _('retries answered from memory'),
	unknown: _('never answered by the mail server'),
	aborted: _('left by the client'),
	streamed: _('too large to be held back whole'),
	logins: _('logins of your users'),
	logins_refused: _('logins refused'),
	refused_sessions: _('clients turned away: all sessions taken'),
	refused_per_client: _('clients turned away: too many of one network'),
	refused_overload: _('clients turned away: overload'),
	refused_memory: _('turned away: short of memory'),
	tarpitted: _('clients slowed down'),
	refused_again: _('sessions ended after two refusals'),
	remembered_recipients: _('recipients refused from memory'),
	relay_retries: _('mail server connections replaced'),
	relay_failures: _('mail server failures'),
	tls_failures: _('failed TLS handshakes'),
	greylist_full: _('not greylisted: no room'),
	unchecked: _('not checked: no memory'),
	hits_lost: _('findings lost: no memory'),
	rules_unread: _('not read by rules: no memory'),
	rules_limited: _('rules that reached a limit'),
	slow_turns: _('turns longer than 20 ms')
};
const MAIN_COUNTERS = 8;

const CSS = `
.postern { overflow-wrap: anywhere }
.postern h3 { margin-top: 1.2em }
.postern-note { border-left: .3em solid #d9a21b; padding: .5em .8em; margin: .6em 0; background: rgba(128,128,128,.1) }
.postern-note[data-level="bad"] { border-color: #cc4b41 }
.postern-note[data-level="info"] { border-color: #4f7fd1 }
.postern-facts, .postern-counters { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5em, 1fr));
	gap: .5em; margin: .6em 0 }
.postern-facts > div, .postern-counters > div { background: rgba(128,128,128,.1); padding: .4em .7em;
	border-radius: .3em }
.postern-facts b, .postern-counters b { display: block; font-size: 1.15em }
.postern-rows > div { display: grid; gap: .1em 1em; padding: .45em .2em; border-top: 1px solid rgba(128,128,128,.3);
	align-items: baseline }
.postern-rows > div > * { min-width: 0 }
.postern-servers > div { grid-template-columns: 14em 12em 1fr }
.postern-lists > div { grid-template-columns: 14em 12em 1fr }
.postern-verdicts > div { grid-template-columns: 6.5em 1fr 1.3fr 6.5em }
.postern small { opacity: .75 }
.postern-mark { display: inline-block; white-space: nowrap }
.postern-mark::before { content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .4em;
	border-radius: 50%; background: var(--mark, #999) }
.postern-mark[data-state="good"] { --mark: #3f9d63 }
.postern-mark[data-state="bad"] { --mark: #cc4b41 }
.postern-graph svg { display: block; width: 100%; height: 9em; background: rgba(128,128,128,.1) }
.postern-scale, .postern-legend { display: flex; flex-wrap: wrap; gap: .2em 1.2em }
.postern-scale { justify-content: space-between }
.postern-graph button { margin: 0 .5em .4em 0 }
.postern-right { text-align: right }
@media (max-width: 48em) {
	.postern-servers > div, .postern-lists > div, .postern-verdicts > div { grid-template-columns: 1fr auto }
	.postern-rows > div > .postern-wide { grid-column: 1 / -1 }
	.postern-verdicts > div > .postern-time { grid-column: 2; grid-row: 1 }
	.postern-facts, .postern-counters { grid-template-columns: repeat(auto-fill, minmax(7.5em, 1fr)) }
}
`;

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const BEYOND_ASCII = /[\u0080-\u00ff]/;

/* Peer bytes come as characters of the same number. What cannot be seen, or turns the text around, is a box. */
function peer(bytes) {
	let text = String(bytes ?? '');

	if (BEYOND_ASCII.test(text))
		text = new TextDecoder().decode(Uint8Array.from(text, c => c.charCodeAt(0)));
	return text.replace(HIDDEN, '\ufffd');
}

function el(tag, attributes, ...children) {
	return E(tag, attributes, children.filter(child => child != null && child !== ''));
}

function svg(tag, attributes, children) {
	const node = document.createElementNS(SVG, tag);

	for (const [ name, value ] of Object.entries(attributes))
		node.setAttribute(name, value);
	for (const child of children ?? [])
		node.appendChild(child);
	return node;
}

function has(table, key) {
	return Object.prototype.hasOwnProperty.call(table, key);
}

function duration(seconds) {
	const s = Math.max(0, Math.floor(seconds));

	if (s < 60)
		return _('%d s').format(s);
	if (s < 3600)
		return _('%d min').format(Math.floor(s / 60));
	if (s < 172800)
		return _('%d h %d min').format(Math.floor(s / 3600), Math.floor(s % 3600 / 60));
	return _('%d days').format(Math.floor(s / 86400));
}

function size(bytes) {
	return bytes < 1048576 ? _('%d KiB').format(Math.ceil(bytes / 1024))
		: _('%s MiB').format((bytes / 1048576).toFixed(1));
}

function mark(state) {
	const [ text, level ] = has(STATES, state) ? STATES[state] : [ String(state), 'unknown' ];

	return el('span', { 'class': 'postern-mark', 'data-state': level }, text);
}

function kindMark(kind) {
	const known = KINDS.find(one => one[0] == kind);

	return el('span', { 'class': 'postern-mark', 'style': known ? '--mark:' + known[2] : null },
		known ? known[1] : String(kind));
}

function note(level, ...children) {
	return el('div', { 'class': 'postern-note', 'data-level': level }, ...children);
}

function settingsLink(text) {
	return el('a', { 'href': L.url('admin/services/postern/settings') }, text);
}

/* 7 -> 10, 23 -> 50: where the graph ends. */
function ceiling(most) {
	for (let step = 1; ; step *= 10)
		for (const factor of [ 1, 2, 5 ])
			if (factor * step >= most)
				return factor * step;
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	span: 'minutes',
	showAll: false,

	async look() {
		uci.unload('postern');
		const [ answer ] = await Promise.all([ service.ask(), L.resolveDefault(uci.load('postern')) ]);
		this.answer = answer;
	},

	load() {
		return this.look();
	},

	render() {
		this.body = E('div', { 'class': 'postern' });
		this.panel = service.panel(() => this.refresh());
		this.draw();
		poll.add(() => this.refresh(), SECONDS);
		return E('div', {}, [ E('style', {}, [ CSS ]), E('h2', {}, [ _('Postern: status') ]), this.panel,
			this.body ]);
	},

	async refresh() {
		await this.look();
		this.draw();
	},

	draw() {
		const said = this.answer.said;
		const open = !!this.body.querySelector('details')?.open;

		dom.content(this.body, [
			...this.notes(),
			...(said ? [ this.facts(said), this.graph(said), this.verdicts(said), this.servers(said),
				this.lists(said), this.listeners(said), this.counters(said, open) ] : [])
		]);
	},

	/* What wants to be known first. */
	notes() {
		const said = this.answer.said;
		const relays = uci.sections('postern', 'relay').length;
		const notes = [];

		if (!said)
			return this.absent(relays);
		if (!relays)
			notes.push(note('bad', _('The settings name no mail server any more: at the next start ' +
				'nothing will be listened on. '), settingsLink(_('Add a mail server'))));
		if (said.draining)
			notes.push(note('warn', _('Postern is being stopped: what has begun is brought to an end.')));
		if (said.overloaded)
			notes.push(note('warn', _('Nearly all sessions are taken: only clients that have delivered ' +
				'before are served.')));
		if (said.servers.length && said.servers.every(server => server.state == 'down'))
			notes.push(note('bad', _('No mail server of yours can be reached: clients are asked to come ' +
				'again. Nothing is lost, but nothing comes in.')));
		if (said.lists.some(list => list.state != 'good'))
			notes.push(note('warn', _('A DNS list does not work, and is left out until it does.')));
		if (said.log_lost)
			notes.push(note('warn', _('%d lines of the log were lost.').format(said.log_lost)));
		if (said.mode != 'enforce')
			notes.push(note('info', has(MODES, said.mode) ? MODES[said.mode] : String(said.mode)));
		return notes;
	},

	/* Why there is nothing to show. */
	absent(relays) {
		const { why, running, refused } = this.answer;
		const enabled = [ '1', 'on', 'yes', 'true' ].includes(uci.get('postern', 'main', 'enabled'));
		const notes = [];

		if (running)
			notes.push(note('bad', _('Postern is running, but does not answer. It may be just starting.')));
		else if (!relays)
			notes.push(note('bad', _('Postern is not running: no mail server is named yet, so nothing is ' +
				'listened on. '), settingsLink(_('Add a mail server'))));
		else if (!enabled)
			notes.push(note('bad', _('Postern is not running: it is switched off. '),
				settingsLink(_('Switch it on'))));
		else
			notes.push(note('bad', _('Postern is not running. Start it; "Check settings" says what may ' +
				'be wrong. Until then no mail comes in, and other servers try again for some days.')));
		/* That nobody answers is no news where nobody runs. */
		if (why && (running || refused))
			notes.push(el('pre', { 'style': 'white-space:pre-wrap;overflow-wrap:anywhere' }, why));
		return notes;
	},

	facts(said) {
		const fact = (title, value) => el('div', {}, title, el('b', {}, value));

		return el('div', { 'class': 'postern-facts' },
			fact(_('Running for'), duration(said.uptime_s)),
			fact(_('Mode'), String(said.mode)),
			fact(_('Sessions'), _('%d of %d').format(said.sessions, said.sessions_max)),
			fact(_('Memory'), _('%s of %s').format(size(said.memory_used), size(said.memory_bound))),
			fact(_('Version'), String(said.version)));
	},

	graph(said) {
		const series = said[this.span];
		const count = series[KINDS[0][0]].length;
		const sum = (kind, from, to) => series[kind].slice(from, to).reduce((all, some) => all + some, 0);
		const totals = series[KINDS[0][0]].map((_some, i) =>
			KINDS.reduce((all, [ kind ]) => all + series[kind][i], 0));
		const top = ceiling(Math.max(1, ...totals));
		const ago = i => (this.span == 'minutes' ? _('%d min ago') : _('%d h ago')).format(count - 1 - i);
		const columns = totals.map((_total, i) => this.column(series, i, top, ago(i)));
		const choice = (span, title) => el('button', {
			'class': 'cbi-button' + (this.span == span ? ' cbi-button-active important' : ''),
			'aria-pressed': String(this.span == span),
			'data-span': span,
			'click': () => { this.span = span; this.draw(); }
		}, title);

		return el('div', { 'class': 'postern-graph' },
			el('h3', {}, _('Messages')),
			choice('minutes', _('Last hour')), choice('hours', _('Last day')),
			el('div', { 'class': 'postern-scale' }, el('small', {}, String(top))),
			svg('svg', { 'viewBox': '0 0 %d 100'.format(count * 10), 'preserveAspectRatio': 'none',
				'role': 'img', 'aria-label': _('Messages over time') }, columns),
			el('div', { 'class': 'postern-scale' }, el('small', {}, ago(0)), el('small', {}, _('now'))),
			el('div', { 'class': 'postern-legend' }, ...KINDS.map(([ kind, name, colour ]) =>
				el('span', { 'class': 'postern-mark', 'style': '--mark:' + colour, 'data-sum': kind },
					'%d %s'.format(sum(kind, 0, count), name)))));
	},

	/* One minute or hour: a bar of each kind, one upon the other, and the figures for whoever points at them. */
	column(series, i, top, when) {
		const title = svg('title', {});
		let y = 100;

		title.textContent = '%s: %s'.format(when,
			KINDS.map(([ kind, name ]) => '%d %s'.format(series[kind][i], name)).join(', '));
		return svg('g', {}, [
			title,
			svg('rect', { 'x': i * 10, 'y': 0, 'width': 10, 'height': 100, 'fill': 'transparent' }),
			...KINDS.filter(([ kind ]) => series[kind][i] > 0).map(([ kind, _name, colour ]) => {
				const height = 100 * series[kind][i] / top;
				y -= height;
				return svg('rect', { 'x': i * 10 + 1, 'y': y, 'width': 8, 'height': height,
					'fill': colour, 'data-kind': kind });
			})
		]);
	},

	verdicts(said) {
		const shown = this.showAll ? said.verdicts : said.verdicts.slice(0, SHOWN);
		const more = said.verdicts.length > SHOWN ? el('button', {
			'class': 'cbi-button',
			'data-more': String(!this.showAll),
			'click': () => { this.showAll = !this.showAll; this.draw(); }
		}, this.showAll ? _('Show fewer') : _('Show all %d').format(said.verdicts.length)) : null;

		return el('div', {},
			el('h3', {}, _('Last verdicts')),
			shown.length ? el('div', { 'class': 'postern-rows postern-verdicts' },
				...shown.map(verdict => this.verdict(verdict, said.now_ms)))
				: el('em', {}, _('No message yet.')),
			more);
	},

	verdict(verdict, now) {
		const reason = has(REASONS, verdict.reason) ? REASONS[verdict.reason] : String(verdict.reason);
		const outcome = has(OUTCOMES, verdict.outcome) ? OUTCOMES[verdict.outcome] : String(verdict.outcome);
		const why = verdict.kind == 'tagged' && !reason ? _('score over the line') : reason;
		const details = [ _('score %s').format(peer(verdict.score)), peer(verdict.hits), peer(verdict.client),
			verdict.code ? _('answer %d').format(verdict.code) : '', peer(verdict.id) ];

		return el('div', { 'data-id': peer(verdict.id) },
			kindMark(verdict.kind),
			el('div', { 'class': 'postern-wide' },
				el('bdi', {}, verdict.from === '' ? _('(a bounce)') : peer(verdict.from)), ' → ',
				el('bdi', {}, verdict.to === '' ? _('(no recipient)') : peer(verdict.to))),
			el('div', { 'class': 'postern-wide' },
				why ? '%s: %s'.format(outcome, why) : outcome,
				el('br', {}),
				el('small', {}, details.filter(part => part !== '').join(' · '))),
			el('small', { 'class': 'postern-time postern-right',
				'title': new Date(verdict.time_ms).toLocaleString() },
			_('%s ago').format(duration((now - verdict.time_ms) / 1000))));
	},

	servers(said) {
		const row = server => el('div', {},
			el('b', {}, String(server.address) + (server.protocol == 'lmtp' ? ' (LMTP)' : '')),
			mark(server.state),
			el('div', { 'class': 'postern-wide' },
				_('%d connections, %d messages waiting').format(server.connections, server.waiting),
				el('br', {}),
				el('small', {}, server.offers.length
					? _('last seen to offer %s').format(server.offers.map(peer).join(' '))
					: _('nothing seen of it yet'))));

		return el('div', {},
			el('h3', {}, _('Mail servers')),
			el('div', { 'class': 'postern-rows postern-servers' }, ...said.servers.map(row)));
	},

	lists(said) {
		const row = list => el('div', {},
			el('b', {}, peer(list.zone)),
			mark(list.state),
			el('div', { 'class': 'postern-wide' },
				_('asked %d times, listed %d').format(list.asked, list.listed),
				list.dry_run ? _(', only tried') : null,
				list.why ? el('br', {}) : null,
				list.why ? el('small', {}, peer(list.why)) : null));

		return el('div', {},
			el('h3', {}, _('DNS lists')),
			said.lists.length ? el('div', { 'class': 'postern-rows postern-lists' }, ...said.lists.map(row))
				: el('em', {}, _('None is asked.')));
	},

	listeners(said) {
		return el('div', {},
			el('h3', {}, _('Listens on')),
			said.listeners.length ? el('div', {}, said.listeners.map(String).join(' · '))
				: el('em', {}, _('Nothing yet: it looks at your mail servers first.')));
	},

	/* The main ones, and the others that have counted anything behind a click. */
	counters(said, open) {
		const counted = said.counters;
		const names = Object.keys(COUNTERS).filter(name => has(counted, name));
		const others = names.slice(MAIN_COUNTERS)
			.concat(Object.keys(counted).filter(name => !has(COUNTERS, name)))
			.filter(name => counted[name] > 0);
		const cell = name => el('div', { 'data-counter': name }, has(COUNTERS, name) ? COUNTERS[name] : name,
			el('b', {}, String(counted[name])));
		const grid = list => el('div', { 'class': 'postern-counters' }, ...list.map(cell));

		return el('div', {},
			el('h3', {}, _('Since the start')),
			grid(names.slice(0, MAIN_COUNTERS)),
			others.length ? el('details', { 'open': open ? '' : null }, el('summary', {}, _('More')),
				grid(others)) : null);
	}
});
