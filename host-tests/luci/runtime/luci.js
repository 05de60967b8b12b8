'use strict';
/* A stand-in of ours for LuCI's runtime: as much of it as our pages use, behaving as LuCI does where it matters to them. It
 * is not LuCI: no themes, no translations, no login. window.POSTERN (from the device) says who looks: {readonly, view}. */
(() => {

const SESSION = '00000000000000000000000000000001';

window._ = text => text;
window.N_ = (count, one, many) => count == 1 ? one : many;

String.prototype.format = function(...values) {
	return this.replace(/%([sd%])/g, (_all, kind) => {
		if (kind == '%')
			return '%';
		const value = values.shift();
		return kind == 'd' ? String(Math.trunc(Number(value))) : String(value);
	});
};

/* --- elements -------------------------------------------------------------------------------------------------- */

const instances = new WeakMap();

const dom = {
	elem: one => one instanceof Node,

	/* As in LuCI: of an array strings are text, a string alone is HTML. */
	append(node, children) {
		if (Array.isArray(children)) {
			for (const child of children)
				node.appendChild(dom.elem(child) ? child : document.createTextNode(`${child}`));
		}
		else if (typeof children == 'function') {
			dom.append(node, children(node));
		}
		else if (dom.elem(children)) {
			node.appendChild(children);
		}
		else if (children != null) {
			node.innerHTML = `${children}`;
		}
		return node.lastChild;
	},

	content(node, children) {
		node.replaceChildren();
		return dom.append(node, children);
	},

	create(tag, attributes, children) {
		if (Array.isArray(tag)) {
			const fragment = document.createDocumentFragment();
			dom.append(fragment, tag);
			return fragment;
		}
		if (children === undefined && (Array.isArray(attributes) || typeof attributes != 'object' || dom.elem(attributes))) {
			children = attributes;
			attributes = {};
		}
		const node = document.createElement(tag);
		for (const [ name, value ] of Object.entries(attributes ?? {})) {
			if (value == null)
				continue;
			if (typeof value == 'function')
				node.addEventListener(name, value);
			else
				node.setAttribute(name, typeof value == 'object' ? JSON.stringify(value) : value);
		}
		dom.append(node, children);
		return node;
	},

	bindClassInstance(node, instance) {
		instances.set(node, instance);
		return instance;
	},

	findClassInstance(node) {
		for (; node; node = node.parentNode)
			if (instances.has(node))
				return instances.get(node);
		return null;
	},

	callClassMethod(node, method, ...values) {
		const instance = dom.findClassInstance(node);
		return typeof instance?.[method] == 'function' ? instance[method](...values) : null;
	}
};

window.E = dom.create;

/* --- classes and modules --------------------------------------------------------------------------------------- */

function extend(Base, members) {
	const Derived = class extends Base {};
	Object.defineProperties(Derived.prototype, Object.getOwnPropertyDescriptors(members));
	Derived.extend = more => extend(Derived, more);
	return Derived;
}

const Root = class {};
const modules = {};
const REQUIRE = /^'require ([\w.]+)(?: as (\w+))?';$/gm;

const L = window.L = {
	env: { sessionid: SESSION, nodespec: { satisfied: true, readonly: window.POSTERN.readonly } },
	dom,
	url: (...parts) => [ '/cgi-bin/luci', ...parts ].join('/'),
	isObject: one => one != null && typeof one == 'object',
	toArray: one => one == null ? [] : Array.isArray(one) ? one : typeof one == 'object' ? [ one ] :
		String(one).trim().split(/\s+/).filter(part => part != ''),
	bind: (fn, self, ...values) => fn.bind(self, ...values),
	resolveDefault: (promise, value) => Promise.resolve(promise).catch(() => value),
	hasViewPermission: () => !L.env.nodespec.readonly,

	async require(name) {
		return modules[name] ??= L.load(name);
	},

	/* A module's text is the body of a function that gets what it requires, and returns a class. */
	async load(name) {
		const reply = await fetch('/luci-static/resources/%s.js'.format(name.replace(/\./g, '/')));
		if (!reply.ok)
			throw new Error('there is no module ' + name);
		const source = await reply.text();
		const needs = [ ...source.matchAll(REQUIRE) ];
		const parts = await Promise.all(needs.map(need => L.require(need[1])));
		const names = needs.map(need => need[2] ?? need[1].replace(/\./g, '_'));
		const Class = new Function('window', 'document', 'L', ...names,
			source + '\n//# sourceURL=' + name + '.js\n')(window, document, L, ...parts);
		if (!(Class.prototype instanceof Root))
			throw new Error(name + ' returns no class');
		return new Class();
	}
};

modules.dom = Promise.resolve(dom);
modules.baseclass = Promise.resolve({ extend: members => extend(Root, members) });

/* --- talking to the device ------------------------------------------------------------------------------------- */

let requests = 0;

const rpc = {
	declare: call => async (...values) => {
		const named = {};
		(call.params ?? []).forEach((name, i) => { named[name] = values[i]; });
		const reply = await fetch('/ubus/', {
			method: 'POST',
			headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify({ jsonrpc: '2.0', id: ++requests, method: 'call',
				params: [ SESSION, call.object, call.method, named ] })
		});
		const message = await reply.json();
		if (message.error)
			throw new Error('RPC call to %s/%s failed with error %d: %s'.format(call.object, call.method,
				message.error.code, message.error.message));
		let got = message.result.length > 1 ? message.result[1] : message.result[0];
		if (call.expect) {
			const key = Object.keys(call.expect)[0];
			if (got != null && key != '')
				got = got[key];
			if (got == null || Object.prototype.toString.call(got) != Object.prototype.toString.call(call.expect[key]))
				got = call.expect[key];
		}
		return got;
	},

	getStatusText: code => ({ 0: 'Command OK', 2: 'Invalid argument', 4: 'Resource not found',
		6: 'Permission denied' })[code] ?? 'Unknown error code'
};
modules.rpc = Promise.resolve(rpc);

const callExec = rpc.declare({ object: 'file', method: 'exec', params: [ 'command', 'params', 'env' ] });

modules.fs = Promise.resolve({
	async exec(command, params, env) {
		const got = await callExec(command, Array.isArray(params) ? params : null, env ?? null);
		if (typeof got == 'number' && got != 0)
			throw new Error(rpc.getStatusText(got));
		return got;
	}
});

/* --- UCI: what is there, and what the page has changed of it ---------------------------------------------------- */

const callGet = rpc.declare({ object: 'uci', method: 'get', params: [ 'config' ], expect: { values: {} } });
const callAdd = rpc.declare({ object: 'uci', method: 'add', params: [ 'config', 'type', 'name', 'values' ],
	expect: { section: '' } });
const callSet = rpc.declare({ object: 'uci', method: 'set', params: [ 'config', 'section', 'values' ] });
const callDelete = rpc.declare({ object: 'uci', method: 'delete', params: [ 'config', 'section', 'options' ] });
const callApply = rpc.declare({ object: 'uci', method: 'apply', params: [ 'timeout', 'rollback' ] });
const callConfirm = rpc.declare({ object: 'uci', method: 'confirm' });

const uci = {
	values: {}, creates: {}, changes: {}, deletes: {}, created: 0,

	async load(config) {
		for (const name of L.toArray(config))
			uci.values[name] ??= await callGet(name);
		return L.toArray(config);
	},

	unload(config) {
		for (const part of [ uci.values, uci.creates, uci.changes, uci.deletes ])
			delete part[config];
	},

	add(config, type, name) {
		const id = name ?? 'new%d'.format(++uci.created);
		(uci.creates[config] ??= {})[id] = { '.type': type, '.name': id, '.create': name, '.anonymous': !name,
			'.index': 1000 + uci.created };
		return id;
	},

	remove(config, id) {
		if (uci.creates[config]?.[id]) {
			delete uci.creates[config][id];
			return;
		}
		delete uci.changes[config]?.[id];
		(uci.deletes[config] ??= {})[id] = true;
	},

	sections(config, type) {
		const there = Object.values(uci.values[config] ?? {})
			.filter(section => uci.deletes[config]?.[section['.name']] !== true)
			.map(section => ({ ...section, ...uci.changes[config]?.[section['.name']] }));
		return there.concat(Object.values(uci.creates[config] ?? {}))
			.filter(section => !type || section['.type'] == type).sort((a, b) => a['.index'] - b['.index']);
	},

	get(config, id, option) {
		const made = uci.creates[config]?.[id];
		const gone = uci.deletes[config]?.[id];
		if (made)
			return option == null ? made : made[option];
		if (option == null)
			return uci.values[config]?.[id];
		if (gone === true || gone?.includes(option))
			return undefined;
		return uci.changes[config]?.[id]?.[option] ?? uci.values[config]?.[id]?.[option];
	},

	set(config, id, option, value) {
		const made = uci.creates[config]?.[id];
		const there = uci.values[config]?.[id];
		if (made) {
			if (value != null)
				made[option] = value;
			else
				delete made[option];
			return;
		}
		if (!there || uci.deletes[config]?.[id] === true)
			return;
		if (value != null && value !== '') {
			if (uci.deletes[config]?.[id])
				uci.deletes[config][id] = uci.deletes[config][id].filter(name => name != option);
			((uci.changes[config] ??= {})[id] ??= {})[option] = value;
		}
		else if (option in there || option in (uci.changes[config]?.[id] ?? {})) {
			delete uci.changes[config]?.[id]?.[option];
			((uci.deletes[config] ??= {})[id] ??= []).push(option);
		}
	},

	unset: (config, id, option) => uci.set(config, id, option, null),

	/* Hands the changes to the device, which keeps them aside until they are applied. */
	async save() {
		for (const [ config, made ] of Object.entries(uci.creates))
			for (const section of Object.values(made))
				await callAdd(config, section['.type'], section['.create'],
					Object.fromEntries(Object.entries(section).filter(([ name ]) => name[0] != '.')));
		for (const [ config, sections ] of Object.entries(uci.changes))
			for (const [ id, values ] of Object.entries(sections))
				if (Object.keys(values).length)
					await callSet(config, id, values);
		for (const [ config, sections ] of Object.entries(uci.deletes))
			for (const [ id, options ] of Object.entries(sections))
				if (options === true || options.length)
					await callDelete(config, id, options === true ? null : options);
		for (const config of Object.keys(uci.values))
			uci.unload(config);
	}
};
modules.uci = Promise.resolve(uci);

/* --- messages, buttons, tabs ------------------------------------------------------------------------------------ */

const ui = {
	createHandlerFn(self, fn, ...values) {
		return async event => {
			const button = event.currentTarget;
			button.classList.add('spinning');
			button.disabled = true;
			try {
				await (typeof fn == 'string' ? self[fn] : fn).call(self, ...values, event);
			}
			finally {
				button.classList.remove('spinning');
				button.disabled = false;
			}
		};
	},

	showModal(title, children) {
		const modal = document.getElementById('modal_overlay');
		dom.content(modal, [ E('div', { 'class': 'modal' }, [ E('h4', {}, title), ...children ]) ]);
		modal.style.display = 'block';
	},

	hideModal() {
		document.getElementById('modal_overlay').style.display = 'none';
	},

	initTabGroup(panes) {
		const menu = E('ul', { 'class': 'cbi-tabmenu' });
		const show = name => {
			for (const pane of panes)
				pane.setAttribute('data-tab-active', pane.getAttribute('data-tab') == name);
			for (const item of menu.children)
				item.className = item.getAttribute('data-tab') == name ? 'cbi-tab' : 'cbi-tab-disabled';
		};
		for (const pane of panes) {
			const name = pane.getAttribute('data-tab');
			menu.appendChild(E('li', { 'data-tab': name }, [ E('a', { 'href': '#', 'click': event => {
				event.preventDefault();
				show(name);
			} }, [ pane.getAttribute('data-tab-title') ]) ]));
		}
		panes[0].parentNode.insertBefore(menu, panes[0]);
		show(panes[0].getAttribute('data-tab'));
	},

	async applyChanges() {
		await callApply(90, true);
		await callConfirm();
		document.dispatchEvent(new CustomEvent('uci-applied'));
		window.setTimeout(() => window.location.reload(), 300);
	}
};
modules.ui = Promise.resolve(ui);

modules.poll = Promise.resolve({
	add(fn, seconds) {
		let busy = false;
		window.setInterval(async () => {
			if (busy)
				return;
			busy = true;
			try {
				await fn();
			}
			finally {
				busy = false;
			}
		}, seconds * 1000 / window.POSTERN.hurry);
	}
});

/* --- forms ------------------------------------------------------------------------------------------------------ */

class FormNode {
	constructor(title, description) {
		this.title = title;
		this.description = description;
		this.children = [];
	}
}

function same(a, b) {
	return a == null || b == null ? a == b : JSON.stringify(a) == JSON.stringify(b);
}

class FormMap extends FormNode {
	constructor(config, title, description) {
		super(title, description);
		this.config = config;
		this.data = uci;
	}

	section(Class, ...values) {
		const section = new Class(this, ...values);
		this.children.push(section);
		return section;
	}

	async load() {
		this.readonly ??= !L.hasViewPermission();
		await uci.load(this.config);
		for (const section of this.children)
			for (const id of section.cfgsections())
				for (const option of section.children)
					option.cfgvalue(id, await option.load(id));
	}

	async render() {
		await this.load();
		return this.renderContents();
	}

	renderContents() {
		this.root ??= E('div', { 'id': 'cbi-' + this.config, 'class': 'cbi-map' });
		dom.bindClassInstance(this.root, this);
		this.root.replaceChildren();
		if (this.title)
			this.root.appendChild(E('h2', {}, this.title));
		if (this.description)
			this.root.appendChild(E('div', { 'class': 'cbi-map-descr' }, this.description));
		for (const section of this.children)
			this.root.appendChild(section.render());
		for (const group of this.root.querySelectorAll('.cbi-section-node-tabbed'))
			ui.initTabGroup([ ...group.children ]);
		return this.root;
	}

	async parse() {
		for (const section of this.children)
			for (const id of section.cfgsections())
				for (const option of section.children)
					await option.parse(id);
	}

	async save(_then, silent) {
		try {
			await this.parse();
			await uci.save();
			await this.load();
		}
		catch (error) {
			if (!silent)
				ui.showModal(_('Save error'), [ E('p', {}, [ _('An error occurred while saving the form:') ]),
					E('p', {}, [ E('em', { 'style': 'white-space:pre-wrap' }, [ error.message ]) ]),
					E('button', { 'class': 'cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ]) ]);
			throw error;
		}
		this.renderContents();
	}
}

class FormSection extends FormNode {
	constructor(map, type, title, description) {
		super(title, description);
		this.map = map;
		this.sectiontype = type;
	}

	tab(name, title, description) {
		(this.tabs ??= []).push({ name, title, description });
	}

	option(Class, ...values) {
		const option = new Class(this.map, this, ...values);
		this.children.push(option);
		return option;
	}

	taboption(tab, Class, ...values) {
		if (!this.tabs?.some(one => one.name == tab))
			throw new Error('there is no tab ' + tab);
		const option = this.option(Class, ...values);
		option.tab = tab;
		return option;
	}

	formvalue(id, name) {
		return this.children.find(option => option.option == name)?.formvalue(id);
	}

	renderSection(id) {
		const options = tab => this.children.filter(option => option.tab == tab).map(option => option.render(id));
		const node = E('div', { 'id': 'cbi-%s-%s'.format(this.map.config, id), 'data-section-id': id,
			'class': 'cbi-section-node' + (this.tabs ? ' cbi-section-node-tabbed' : '') });
		if (!this.tabs)
			dom.append(node, options(undefined));
		for (const tab of this.tabs ?? [])
			node.appendChild(E('div', { 'data-tab': tab.name, 'data-tab-title': tab.title }, [
				...(tab.description ? [ E('div', { 'class': 'cbi-tab-descr' }, tab.description) ] : []), ...options(tab.name) ]));
		return node;
	}

	heading() {
		const node = E('div', { 'class': 'cbi-section' });
		if (this.title)
			node.appendChild(E('h3', {}, this.title));
		if (this.description)
			node.appendChild(E('div', { 'class': 'cbi-section-descr' }, this.description));
		return node;
	}
}

class NamedSection extends FormSection {
	constructor(map, id, type, title, description) {
		super(map, type, title, description);
		this.id = id;
	}

	cfgsections() {
		return [ this.id ];
	}

	render() {
		const node = this.heading();
		if (uci.get(this.map.config, this.id))
			node.appendChild(this.renderSection(this.id));
		return node;
	}
}

class TypedSection extends FormSection {
	cfgsections() {
		return uci.sections(this.map.config, this.sectiontype).map(section => section['.name']);
	}

	async handleAdd() {
		uci.add(this.map.config, this.sectiontype);
		await this.map.save(null, true);
	}

	async handleRemove(id) {
		uci.remove(this.map.config, id);
		await this.map.save(null, true);
	}

	render() {
		const node = this.heading();
		const readonly = this.map.readonly || null;
		node.id = 'cbi-%s-%s'.format(this.map.config, this.sectiontype);
		for (const id of this.cfgsections()) {
			if (this.addremove)
				node.appendChild(E('div', { 'class': 'cbi-section-remove right' }, [ E('button', { 'class': 'cbi-button',
					'data-section-id': id, 'disabled': readonly, 'click': ui.createHandlerFn(this, 'handleRemove', id) },
				[ _('Delete') ]) ]));
			node.appendChild(this.renderSection(id));
		}
		if (!this.cfgsections().length)
			node.appendChild(E('em', _('This section contains no values yet')));
		if (this.addremove)
			node.appendChild(E('div', { 'class': 'cbi-section-create' }, [ E('button', { 'class': 'cbi-button cbi-button-add',
				'disabled': readonly, 'click': ui.createHandlerFn(this, 'handleAdd') }, [ this.addbtntitle ?? _('Add') ]) ]));
		return node;
	}
}

class Value extends FormNode {
	constructor(map, section, option, title, description) {
		super(title, description);
		Object.assign(this, { map, section, option, rmempty: true, optional: false, default: null, stored: {}, fields: {} });
	}

	value(key, label) {
		(this.keylist ??= []).push(String(key));
		(this.vallist ??= []).push(String(label ?? key));
	}

	load(id) {
		return uci.get(this.map.config, id, this.option);
	}

	cfgvalue(id, ...set) {
		if (set.length)
			this.stored[id] = set[0];
		return this.stored[id];
	}

	validate() {
		return true;
	}

	cbid(id) {
		return 'cbid.%s.%s.%s'.format(this.map.config, id, this.option);
	}

	widgetId(id) {
		return 'widget.' + this.cbid(id);
	}

	render(id) {
		const value = this.cfgvalue(id) ?? this.default;
		const node = E('div', { 'class': 'cbi-value', 'data-field': this.cbid(id), 'data-name': this.option }, [
			E('label', { 'class': 'cbi-value-title', 'for': this.widgetId(id) }, this.title),
			E('div', { 'class': 'cbi-value-field' }, [ this.fields[id] = this.renderWidget(id, value),
				E('div', { 'class': 'cbi-value-description' }, this.description) ]) ]);
		if (this.map.readonly)
			node.querySelectorAll('input, select, button').forEach(input => { input.disabled = true; });
		return node;
	}

	/* Marks the field, and returns what is wrong or ''. */
	judge(id, input, text) {
		const told = text === '' ? (this.optional || this.rmempty || this.list ? true : _('non-empty value')) :
			this.validate(id, text);
		const wrong = told === true ? '' : String(told);
		input.classList.toggle('cbi-input-invalid', wrong != '');
		if (wrong)
			input.setAttribute('data-tooltip', wrong);
		else
			input.removeAttribute('data-tooltip');
		return wrong;
	}

	renderWidget(id, value) {
		const input = E('input', { 'id': this.widgetId(id), 'type': 'text', 'class': 'cbi-input-text', 'value': value ?? '',
			'placeholder': this.placeholder });
		for (const event of [ 'blur', 'keyup' ])
			input.addEventListener(event, () => this.judge(id, input, input.value));
		return input;
	}

	formvalue(id) {
		return this.fields[id]?.value ?? null;
	}

	wrong(id) {
		return this.judge(id, this.fields[id], this.fields[id].value);
	}

	async parse(id) {
		if (!this.fields[id])
			return;
		const before = this.cfgvalue(id), now = this.formvalue(id), wrong = this.wrong(id);
		if (wrong)
			throw new TypeError('Option "%s" contains an invalid input value. %s'.format(this.title, wrong));
		if (now != null && now != '') {
			if (!same(before, now))
				uci.set(this.map.config, id, this.option, now);
		}
		else if (this.rmempty || this.optional) {
			uci.unset(this.map.config, id, this.option);
		}
		else if (!same(before, now)) {
			throw new TypeError('Option "%s" must not be empty.'.format(this.title));
		}
	}
}

class ListValue extends Value {
	renderWidget(id, value) {
		if (this.widget == 'radio')
			return E('div', { 'id': this.cbid(id) }, this.keylist.map((key, i) => E('div', {}, [
				E('input', { 'type': 'radio', 'id': '%s.%d'.format(this.widgetId(id), i), 'name': this.cbid(id), 'value': key,
					'checked': key == value ? '' : null }),
				E('label', { 'for': '%s.%d'.format(this.widgetId(id), i) }, [ this.vallist[i] ]) ])));
		const select = E('select', { 'id': this.widgetId(id), 'class': 'cbi-input-select' });
		if (this.optional)
			select.appendChild(E('option', { 'value': '' }, [ this.placeholder ?? _('-- Please choose --') ]));
		this.keylist.forEach((key, i) => select.appendChild(E('option', { 'value': key, 'selected': key == value ? '' : null },
			[ this.vallist[i] ])));
		return select;
	}

	formvalue(id) {
		const field = this.fields[id];
		return field.tagName == 'SELECT' ? field.value : field.querySelector('input:checked')?.value ?? null;
	}

	wrong() {
		return '';
	}
}

class Flag extends Value {
	constructor(...values) {
		super(...values);
		this.enabled = '1';
		this.disabled = this.default = '0';
	}

	renderWidget(id, value) {
		return E('input', { 'id': this.widgetId(id), 'type': 'checkbox', 'checked': value == this.enabled ? '' : null });
	}

	formvalue(id) {
		return this.fields[id].checked ? this.enabled : this.disabled;
	}

	async parse(id) {
		if (!this.fields[id])
			return;
		const now = this.formvalue(id);
		if (now == this.default && (this.optional || this.rmempty))
			uci.unset(this.map.config, id, this.option);
		else if (!same(this.cfgvalue(id), now))
			uci.set(this.map.config, id, this.option, now);
	}
}

class DynamicList extends Value {
	constructor(...values) {
		super(...values);
		this.list = true;
	}

	renderWidget(id, value) {
		const node = E('div', { 'id': this.cbid(id), 'class': 'cbi-dynlist' });
		const input = E('input', { 'id': this.widgetId(id), 'type': 'text', 'class': 'cbi-input-text',
			'placeholder': this.placeholder });
		const insert = text => node.insertBefore(E('div', { 'class': 'item', 'click': event => {
			if (!this.map.readonly)
				event.currentTarget.remove();
		} }, [ E('span', {}, [ text ]), E('input', { 'type': 'hidden', 'value': text }) ]), input.parentNode);
		const add = () => {
			if (input.value !== '' && !this.judge(id, input, input.value)) {
				insert(input.value);
				input.value = '';
			}
		};
		node.appendChild(E('div', { 'class': 'add-item' }, [ input, E('button', { 'class': 'cbi-button cbi-button-add',
			'click': event => { event.preventDefault(); add(); } }, [ '+' ]) ]));
		for (const item of L.toArray(value))
			insert(item);
		input.addEventListener('keydown', event => { if (event.key == 'Enter') add(); });
		input.addEventListener('blur', add);
		return node;
	}

	formvalue(id) {
		return [ ...this.fields[id].querySelectorAll('.item > input') ].map(input => input.value);
	}

	/* Of what is typed but not taken into the list, and of each item. */
	wrong(id) {
		const typed = this.fields[id].querySelector('.add-item input');
		return [ ...this.fields[id].querySelectorAll('.item > input') ].map(input => this.judge(id, input, input.value))
			.find(told => told != '') ?? this.judge(id, typed, typed.value);
	}
}

modules.form = Promise.resolve({ Map: FormMap, NamedSection, TypedSection, Value, ListValue, Flag, DynamicList });

/* --- views ------------------------------------------------------------------------------------------------------ */

const View = extend(Root, {
	load() {},

	async handleSave() {
		for (const node of document.querySelectorAll('#maincontent .cbi-map'))
			await dom.callClassMethod(node, 'save');
	},

	async handleSaveApply() {
		await this.handleSave();
		await ui.applyChanges();
	},

	async handleReset() {
		for (const node of document.querySelectorAll('#maincontent .cbi-map'))
			dom.callClassMethod(node, 'renderContents');
	},

	addFooter() {
		const button = (handler, title, kind) => this[handler] ? [ E('button', { 'class': 'cbi-button cbi-button-' + kind,
			'data-handler': handler, 'disabled': !L.hasViewPermission() || null,
			'click': ui.createHandlerFn(this, handler) }, [ title ]) ] : [];
		return E('div', { 'class': 'cbi-page-actions' }, [ ...button('handleSaveApply', _('Save & Apply'), 'apply'),
			...button('handleSave', _('Save'), 'save'), ...button('handleReset', _('Reset'), 'reset') ]);
	}
});
modules.view = Promise.resolve(View);

window.addEventListener('unhandledrejection', event => {
	/* A form that is not saved has said so already. */
	if (event.reason instanceof TypeError && String(event.reason.message).startsWith('Option "'))
		event.preventDefault();
});

window.addEventListener('DOMContentLoaded', async () => {
	const place = document.getElementById('view');
	try {
		const view = await L.require('view.' + window.POSTERN.view.replace('/', '.'));
		const nodes = await view.render(await view.load());
		dom.content(place, [ nodes, view.addFooter() ]);
		document.body.setAttribute('data-ready', 'true');
	}
	catch (error) {
		dom.content(place, [ E('pre', {}, [ String(error.stack) ]) ]);
		document.body.setAttribute('data-ready', 'failed');
	}
});

})();
