/* sim/server_tls.c - STARTTLS for the internal servers of support/inside.h, which know nothing of it
 *
 * Between a connection and its server stands a peer that no network has: what comes is opened and put
 * into it, what the server says there is sealed and sent. STARTTLS itself is answered here.
 */
#include <stdlib.h>

#include "sim/sim.h"

struct sim_server_tls {
	struct sim_server_tls *next;
	struct sim *sim;
	struct pst_peer *raw;
	struct pst_peer inner;
	struct sim_tls_end *tls; /* NULL: in the clear */
	uint32_t read;           /* of raw->in */
	bool secured;
};

/* Everything the server has said, and how it wants to end. */
static void flush(struct sim_server_tls *self)
{
	struct pst_peer *inner = &self->inner;
	struct pst_span said = pst_bytes_from(&inner->out, inner->said);
	struct pst_bytes wire = {0};

	inner->said = inner->out.len;
	if (self->secured)
		sim_tls_end_give(self->tls, said, &wire);
	else
		pst_bytes_add_span(&wire, said);
	pst_peer_say(self->raw, pst_bytes_from(&wire, 0));
	pst_bytes_free(&wire);
	self->raw->deaf |= inner->deaf;
	if (inner->end_due != PST_PEER_STAY)
		pst_peer_end(self->raw, (enum pst_peer_end)inner->end_due);
}

static void begin_tls(struct sim_server_tls *self)
{
	pst_peer_say(self->raw, PST_SPAN("220 2.0.0 go ahead\r\n"));
	self->tls = sim_tls_end_new(self->sim, true);
	if (self->read < self->raw->in.len)
		sim_wrong(self->sim, "the proxy went on in the clear behind STARTTLS");
}

/* In the clear: line by line, until it is STARTTLS or it is mail. */
static void take_clear(struct sim_server_tls *self)
{
	const struct pst_inside_conn *conn = self->inner.owner;

	while (!self->tls && self->read < self->raw->in.len) {
		struct pst_span in = pst_bytes_from(&self->raw->in, self->read);
		int64_t end = pst_span_find(in, '\n');
		uint32_t len = conn->mail_asked || conn->in_body ? in.len : (uint32_t)end + 1;

		if (len == 0)
			return;
		self->read += len;
		if (pst_span_eq_nocase(pst_span_sub(in, 0, len), PST_SPAN("STARTTLS\r\n"))) {
			begin_tls(self);
			return;
		}
		if (pst_span_starts_nocase(in, PST_SPAN("AUTH")))
			sim_wrong(self->sim, "a login went inside in the clear");
		pst_bytes_add_span(&self->inner.in, pst_span_sub(in, 0, len));
		self->inner.on_input(&self->inner);
	}
}

static void take_sealed(struct sim_server_tls *self)
{
	struct pst_span raw = pst_bytes_from(&self->raw->in, self->read);
	struct pst_bytes wire = {0};
	int ret;

	self->read += raw.len;
	ret = sim_tls_end_take(self->tls, raw, &self->inner.in, &wire);
	pst_peer_say(self->raw, pst_bytes_from(&wire, 0));
	pst_bytes_free(&wire);
	self->secured = self->secured || ret > 0;
	self->inner.on_input(&self->inner);
	if (ret < 0)
		pst_peer_end(self->raw, PST_PEER_CLOSE);
}

static void on_input(struct pst_peer *raw)
{
	struct sim_server_tls *self = raw->owner;

	if (self->tls)
		take_sealed(self);
	else
		take_clear(self);
	self->inner.ended = raw->ended;
	self->inner.broken = raw->broken;
	if (raw->ended || raw->broken)
		self->inner.on_input(&self->inner);
	flush(self);
}

void sim_server_tls_new(struct sim *sim, struct pst_door *door, struct pst_peer *raw,
			void (*on_peer)(struct pst_door *door, struct pst_peer *peer))
{
	struct sim_server_tls *self = calloc(1, sizeof(*self));

	PST_BUG_ON(!self);
	self->sim = sim;
	self->raw = raw;
	self->inner.stage = raw->stage;
	self->inner.fd = -1;
	self->inner.address = raw->address;
	self->inner.open = true;
	self->next = sim->server_tls;
	sim->server_tls = self;
	raw->owner = self;
	raw->on_input = on_input;
	on_peer(door, &self->inner);
	flush(self);
}

void sim_server_tls_flush(struct sim *sim)
{
	for (struct sim_server_tls *self = sim->server_tls; self; self = self->next)
		flush(self);
}

void sim_server_tls_free(struct sim *sim)
{
	struct sim_server_tls *self;

	while ((self = sim->server_tls)) {
		sim->server_tls = self->next;
		sim_tls_end_free(self->tls);
		pst_bytes_free(&self->inner.in);
		pst_bytes_free(&self->inner.out);
		free(self);
	}
}
