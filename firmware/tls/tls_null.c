/* tls/tls_null.c - the tls seam without cryptography */
#include "tls/tls_null.h"

#include <string.h>

#define HEAD_BYTES 7
#define NAME_BYTES_MAX 255

enum type { HELLO = 'H', DATA = 'D', CLOSE = 'C', ALERT = 'A' };

enum state { SAY, HEAR, WORK, DONE };

struct context {
	struct pst_tls_context head;
	struct pst_mem *mem;
	bool is_client;
	uint32_t step_count;
};

struct frame {
	uint8_t head[HEAD_BYTES];
	uint32_t head_len;
	uint8_t *body;
	uint32_t body_size; /* as the head says */
	uint32_t body_len;  /* received */
	uint32_t read_len;  /* handed out */
};

struct session {
	struct pst_tls tls;
	struct context *context;
	enum state state;
	uint32_t steps_left;
	uint32_t in_count, out_count; /* frames */
	struct frame frame;
	bool is_finished;
	int error;
	const char *failure;
	uint64_t peak_bytes;
	uint8_t name[NAME_BYTES_MAX];
	uint8_t name_len;
};

static struct session *session_of(const struct pst_tls *tls)
{
	return PST_CONTAINER(tls, struct session, tls);
}

static uint64_t used_bytes(const struct session *session)
{
	return sizeof(*session) + (session->frame.body ? session->frame.body_size : 0);
}

static void drop_frame(struct session *session)
{
	struct frame *frame = &session->frame;

	pst_mem_free(session->context->mem, frame->body, frame->body_size);
	*frame = (struct frame){.head_len = 0};
}

static uint32_t sum_byte(uint32_t sum, uint8_t byte)
{
	return (sum ^ byte) * UINT32_C(16777619); /* FNV-1a */
}

static uint32_t checksum(uint32_t count, uint8_t type, struct pst_span body)
{
	uint32_t sum = UINT32_C(2166136261);

	for (int shift = 24; shift >= 0; shift -= 8)
		sum = sum_byte(sum, (uint8_t)(count >> shift));
	sum = sum_byte(sum, type);
	for (uint32_t i = 0; i < body.len; i++)
		sum = sum_byte(sum, body.at[i]);
	return sum;
}

static bool put_frame(
	struct session *session, enum type type, struct pst_span body, struct pst_buf *out)
{
	uint32_t sum = checksum(session->out_count, (uint8_t)type, body);
	const uint8_t head[HEAD_BYTES] = {(uint8_t)type, (uint8_t)(body.len >> 8),
		(uint8_t)body.len, (uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8),
		(uint8_t)sum};

	if (pst_buf_room(out) < HEAD_BYTES + body.len ||
		pst_buf_put(out, (struct pst_span){head, HEAD_BYTES}) || pst_buf_put(out, body))
		return false;
	session->out_count++;
	return true;
}

static int fail(struct session *session, int error, const char *failure, struct pst_buf *out)
{
	session->error = error;
	session->failure = failure;
	if (out)
		put_frame(session, ALERT, PST_SPAN_NONE, out);
	return -error;
}

static uint32_t u16_at(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static bool is_whole(const struct frame *frame)
{
	return frame->head_len == HEAD_BYTES && frame->body_len == frame->body_size;
}

/* Takes what the frame at hand wants.
 *  ret 1: it is whole | 0: more is needed | -PST_E_* */
static int take_frame(struct session *session, struct pst_tls_wire *wire)
{
	struct frame *frame = &session->frame;
	uint32_t take;

	if (is_whole(frame))
		return 1;
	take = PST_MIN(wire->in.len, HEAD_BYTES - frame->head_len);
	if (take > 0)
		memcpy(frame->head + frame->head_len, wire->in.at, take);
	frame->head_len += take;
	wire->in = pst_span_sub(wire->in, take, wire->in.len);
	if (frame->head_len < HEAD_BYTES)
		return 0;
	frame->body_size = u16_at(frame->head + 1);
	if (frame->body_size > PST_TLS_NULL_BODY_MAX)
		return fail(session, PST_E_PROTO, "not a record", wire->out);
	if (frame->body_size > 0 && !frame->body) {
		frame->body = pst_mem_alloc(session->context->mem, frame->body_size);
		if (!frame->body)
			return fail(session, PST_E_NOMEM, "out of memory", NULL);
		session->peak_bytes = PST_MAX(session->peak_bytes, used_bytes(session));
	}
	take = PST_MIN(wire->in.len, frame->body_size - frame->body_len);
	if (take > 0)
		memcpy(frame->body + frame->body_len, wire->in.at, take);
	frame->body_len += take;
	wire->in = pst_span_sub(wire->in, take, wire->in.len);
	if (!is_whole(frame))
		return 0;
	if (checksum(session->in_count, frame->head[0],
		    (struct pst_span){frame->body, frame->body_size}) !=
		((uint32_t)u16_at(frame->head + 3) << 16 | u16_at(frame->head + 5)))
		return fail(session, PST_E_PROTO, "a record was forged or damaged", wire->out);
	session->in_count++;
	return 1;
}

static int hear(struct session *session, struct pst_tls_wire *wire)
{
	struct frame *frame = &session->frame;
	int ret = take_frame(session, wire);

	if (ret <= 0)
		return ret < 0 ? ret : PST_TLS_INPUT;
	if (frame->head[0] == ALERT)
		return fail(session, PST_E_PROTO, "peer's alert", NULL);
	if (frame->head[0] == CLOSE)
		return fail(session, PST_E_CLOSED, "the peer closed", NULL);
	if (frame->head[0] != HELLO || frame->body_size > NAME_BYTES_MAX)
		return fail(session, PST_E_PROTO, "a message out of place", wire->out);
	if (!session->context->is_client && frame->body_size > 0) {
		memcpy(session->name, frame->body, frame->body_size);
		session->name_len = (uint8_t)frame->body_size;
	}
	drop_frame(session);
	session->state = WORK;
	return PST_TLS_MORE;
}

static int session_handshake(struct pst_tls *tls, struct pst_tls_wire *wire)
{
	struct session *session = session_of(tls);
	bool is_client = session->context->is_client;
	struct pst_span name = {session->name, is_client ? session->name_len : 0};

	if (session->error)
		return -session->error;
	switch (session->state) {
	case DONE:
		return PST_TLS_DONE;
	case HEAR:
		return hear(session, wire);
	case WORK:
		if (session->steps_left > 0) {
			session->steps_left--;
			return PST_TLS_MORE;
		}
		session->state = is_client ? DONE : SAY;
		return is_client ? PST_TLS_DONE : PST_TLS_MORE;
	case SAY:
		if (!put_frame(session, HELLO, name, wire->out))
			return PST_TLS_ROOM;
		session->state = is_client ? HEAR : DONE;
		return is_client ? PST_TLS_MORE : PST_TLS_DONE;
	}
	return -PST_E_PROTO;
}

static int64_t session_read(
	struct pst_tls *tls, struct pst_tls_wire *wire, void *area, uint32_t size)
{
	struct session *session = session_of(tls);
	struct frame *frame = &session->frame;
	uint32_t take;
	int ret;

	if (session->error)
		return -session->error;
	PST_BUG_ON(session->state != DONE || size == 0);
	while (true) {
		ret = take_frame(session, wire);
		if (ret <= 0)
			return ret;
		if (frame->head[0] == CLOSE)
			return fail(session, PST_E_CLOSED, "the peer closed", NULL);
		if (frame->head[0] == ALERT)
			return fail(session, PST_E_PROTO, "peer's alert", NULL);
		if (frame->head[0] != DATA)
			return fail(session, PST_E_PROTO, "a message out of place", wire->out);
		take = PST_MIN(size, frame->body_size - frame->read_len);
		if (take > 0)
			memcpy(area, frame->body + frame->read_len, take);
		frame->read_len += take;
		if (frame->read_len == frame->body_size)
			drop_frame(session);
		if (take > 0)
			return take;
	}
}

static int64_t session_write(struct pst_tls *tls, struct pst_span plain, struct pst_buf *out)
{
	struct session *session = session_of(tls);
	int64_t taken = 0;

	if (session->error && session->error != PST_E_CLOSED)
		return -session->error;
	PST_BUG_ON(session->state != DONE || session->is_finished);
	while (plain.len > 0 && pst_buf_room(out) > HEAD_BYTES) {
		uint32_t len = PST_MIN(plain.len,
			PST_MIN(pst_buf_room(out) - HEAD_BYTES, (uint32_t)PST_TLS_NULL_BODY_MAX));

		put_frame(session, DATA, pst_span_sub(plain, 0, len), out);
		plain = pst_span_sub(plain, len, plain.len);
		taken += len;
	}
	return taken;
}

static bool session_finish(struct pst_tls *tls, struct pst_buf *out)
{
	struct session *session = session_of(tls);

	if (session->is_finished || session->state != DONE ||
		(session->error && session->error != PST_E_CLOSED))
		return true;
	session->is_finished = put_frame(session, CLOSE, PST_SPAN_NONE, out);
	return session->is_finished;
}

static void session_facts(const struct pst_tls *tls, struct pst_tls_facts *out)
{
	const struct session *session = session_of(tls);

	*out = (struct pst_tls_facts){
		.failure = session->failure,
		.used_bytes = used_bytes(session),
		.peak_bytes = session->peak_bytes,
	};
	if (session->state == DONE) {
		out->version = "none";
		out->cipher = "TLS_NULL_WITH_NULL_NULL";
	}
	if (!session->context->is_client)
		out->name = (struct pst_span){session->name, session->name_len};
}

static void session_close(struct pst_tls *tls)
{
	struct session *session = session_of(tls);
	struct context *context = session->context;

	drop_frame(session);
	pst_mem_free(context->mem, session, sizeof(*session));
	pst_tls_context_drop(&context->head);
}

static const struct pst_tls_ops session_ops = {
	.handshake = session_handshake,
	.read = session_read,
	.write = session_write,
	.finish = session_finish,
	.facts = session_facts,
	.close = session_close,
};

static int context_open(
	struct pst_tls_context *head, const struct pst_tls_peer *peer, struct pst_tls **out)
{
	struct context *context = PST_CONTAINER(head, struct context, head);
	struct session *session;

	PST_BUG_ON(context->is_client != (peer != NULL));
	/* Nobody can be verified here. */
	if (peer && (peer->name.len > NAME_BYTES_MAX || peer->verify == PST_TLS_VERIFY_CA ||
			    peer->verify == PST_TLS_VERIFY_PIN))
		return -PST_E_RANGE;
	session = pst_mem_alloc(context->mem, sizeof(*session));
	if (!session)
		return -PST_E_NOMEM;
	session->tls.ops = &session_ops;
	session->context = context;
	session->state = peer ? SAY : HEAR;
	session->steps_left = context->step_count;
	session->peak_bytes = sizeof(*session);
	if (peer && peer->name.len > 0) {
		memcpy(session->name, peer->name.at, peer->name.len);
		session->name_len = (uint8_t)peer->name.len;
	}
	pst_tls_context_hold(head);
	*out = &session->tls;
	return 0;
}

static void context_destroy(struct pst_tls_context *head)
{
	struct context *context = PST_CONTAINER(head, struct context, head);

	pst_mem_free(context->mem, context, sizeof(*context));
}

static const struct pst_tls_context_ops context_ops = {
	.open = context_open,
	.destroy = context_destroy,
};

int pst_tls_null(
	struct pst_mem *mem, bool is_client, uint32_t step_count, struct pst_tls_context **out)
{
	struct context *context = pst_mem_alloc(mem, sizeof(*context));

	if (!context)
		return -PST_E_NOMEM;
	*context = (struct context){
		.head = {.ops = &context_ops, .hold_count = 1},
		.mem = mem,
		.is_client = is_client,
		.step_count = step_count,
	};
	*out = &context->head;
	return 0;
}
