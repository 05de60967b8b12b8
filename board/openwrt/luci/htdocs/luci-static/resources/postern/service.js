'use strict';
'require baseclass';
'require fs';
'require rpc';
'require ui';

/* What both pages do with the service: ask it how it is, and start, stop, reload or check it.
 * Each command is one that the ACL names, word for word. */

const PROGRAM = '/usr/sbin/postern';
const QUESTION = [ 'status', '--json', '--control', '/var/run/postern/control.sock' ];
const SCRIPT = '/etc/init.d/postern';

const callServiceList = rpc.declare({
	object: 'service',
	method: 'list',
	params: [ 'name' ],
	expect: { '': {} }
});

const ACTIONS = [
	[ 'start', _('Start'), 'positive' ],
	[ 'stop', _('Stop'), 'negative' ],
	[ 'reload', _('Reload'), 'action' ],
	[ 'check', _('Check settings'), 'neutral' ]
];

return baseclass.extend({
	/* {said: the status or null, why: what was told instead, running: the system has started it,
	 *  refused: the question could not even be asked} */
	async ask() {
		const [ services, done ] = await Promise.all([
			L.resolveDefault(callServiceList('postern'), {}),
			fs.exec(PROGRAM, QUESTION).catch(error => ({ code: -1, stderr: error.message }))
		]);
		const instances = Object.values(services.postern?.instances ?? {});
		const answer = {
			said: null,
			why: (done.stderr ?? '').trim(),
			running: instances.some(one => one.running),
			refused: done.code === -1
		};

		if (done.code === 0) {
			try {
				answer.said = JSON.parse(done.stdout);
			}
			catch (error) {
				answer.why = error.message;
			}
		}
		return answer;
	},

	/* What the script says, and how it ended. */
	async act(action) {
		const done = await fs.exec(SCRIPT, [ action ]).catch(error => ({ code: -1, stderr: error.message }));
		const good = done.code === 0;
		const text = [ done.stdout, done.stderr ].map(part => (part ?? '').trim()).filter(part => part != '')
			.join('\n');

		return { good, text: text || (good ? _('Done, nothing to report.') : _('It failed.')) };
	},

	/* Buttons, and below them what came of it; nothing for somebody who may only look.
	 *  then: called after each action */
	panel(then) {
		if (!L.hasViewPermission())
			return E('div');

		const output = E('pre', { 'class': 'postern-output', 'style': 'display:none;white-space:pre-wrap;' +
			'overflow-wrap:anywhere' });
		const show = (action, done) => {
			output.style.display = '';
			output.setAttribute('data-good', done.good);
			output.textContent = 'service postern %s\n%s'.format(action, done.text);
		};
		const run = async action => {
			show(action, await this.act(action));
			if (then)
				await then();
		};
		const buttons = ACTIONS.map(([ action, title, kind ]) => E('button', {
			'class': 'cbi-button cbi-button-' + kind,
			'style': 'margin:0 .5em .5em 0',
			'data-action': action,
			'click': ui.createHandlerFn(this, run, action)
		}, [ title ]));
		const panel = E('div', { 'class': 'cbi-section postern-service' }, [ E('div', {}, buttons), output ]);

		panel.check = () => run('check');
		return panel;
	}
});
