/* dns/dns_cares.c - c-ares behind the dns seam
 *
 * c-ares cannot take a single question back, so between it and the caller stands a `pending` that
 * outlives a cancel or a deadline: whoever asked is gone from it, and the answer that still comes is
 * dropped (and not even looked at).
 *
 * A question is put to c-ares from a task, not from inside `query`: c-ares may find in it that a
 * connection is broken, and tell the fate of any question at once. It also means that no channel is
 * closed while c-ares works on it.
 *
 * Rejected: c-ares' own event thread (a second thread in a process of one), its query cache (bounded
 * by time only), ares_getaddrinfo (asks for both families, and sorts).
 */
#include "dns/dns_cares.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "dns/sockets_cares.h"

#define DIRECT_MAX 4        /* channels to zones' own servers that are kept */
#define DIRECT_SHARE 8      /* the part of all questions that a zone's own servers get at most: c-ares goes
			     * on about a silent one for half a minute, whoever still waits */
#define CNAMES_MAX 16       /* followed in an answer */
#define PORT_QUERIES_MAX 64 /* of one UDP port, then another one is taken */
#define QUERY_BYTES 6144    /* what c-ares keeps of one question and its answer, measured 3.1 KiB */
#define SOCKET_BYTES 16384
#define CHANNEL_BYTES 65536 /* with an answer of 64 KiB by TCP being put together now and then */

struct channel {
	struct pst_dns_cares *cares;
	ares_channel_t *ares; /* NULL: none */
	struct pst_cares_user user;
	struct pst_timer timer; /* c-ares' own next deadline */
	struct pst_dns_servers servers; /* of a direct one */
	uint64_t used_turn;
	uint32_t pending_count;
};

struct pending {
	struct channel *channel;
	struct pst_dns_query *query; /* NULL: nobody waits for it any more */
	enum pst_dns_type type;
};

struct pst_dns_cares {
	struct pst_dns dns;
	struct pst_dns_cares_env env;
	struct pst_pool pendings;
	struct channel main;
	struct channel direct[DIRECT_MAX];
	struct pst_cares_sockets sockets;
	struct pst_list open; /* questions that wait for an answer */
};

/* ---- memory ---------------------------------------------------------------------------------- */

static struct {
	struct pst_mem *mem;
	uint64_t used_bytes, bytes_max;
} account;

/* free() gets no size, our allocators want one: it stands before the block. */
struct block_head {
	_Alignas(max_align_t) size_t size;
};

static void *account_alloc(size_t size)
{
	struct block_head *head;

	size += sizeof(*head);
	if (size < sizeof(*head) || account.used_bytes + size > account.bytes_max)
		return NULL;
	head = pst_mem_alloc(account.mem, size);
	if (!head)
		return NULL;
	head->size = size;
	account.used_bytes += size;
	return head + 1;
}

static void account_free(void *block)
{
	struct block_head *head = block;

	if (!block)
		return;
	head--;
	account.used_bytes -= head->size;
	pst_mem_free(account.mem, head, head->size);
}

static void *account_realloc(void *block, size_t size)
{
	void *grown = account_alloc(size);
	size_t had = block ? ((struct block_head *)block)[-1].size - sizeof(struct block_head) : 0;

	if (!grown)
		return NULL;
	if (had > 0)
		memcpy(grown, block, PST_MIN(had, size));
	account_free(block);
	return grown;
}

static uint64_t library_bound(uint32_t query_count_max)
{
	return (uint64_t)query_count_max * QUERY_BYTES + PST_CARES_SOCKETS_MAX * SOCKET_BYTES +
	       (1 + DIRECT_MAX) * (uint64_t)CHANNEL_BYTES;
}

uint64_t pst_dns_cares_bound(uint32_t query_count_max)
{
	return sizeof(struct pst_dns_cares) + (uint64_t)query_count_max * sizeof(struct pending) +
	       library_bound(query_count_max);
}

uint32_t pst_dns_cares_timers_max(uint32_t query_count_max)
{
	return query_count_max + 1 + DIRECT_MAX;
}

uint32_t pst_dns_cares_sockets_max(void)
{
	return PST_CARES_SOCKETS_MAX;
}

/* ---- time and readiness ---------------------------------------------------------------------- */

static void rearm(struct channel *channel)
{
	struct timeval wait, *found = ares_timeout(channel->ares, NULL, &wait);
	struct pst_loop *loop = channel->cares->env.loop;

	if (found)
		pst_timer_set(loop, &channel->timer,
			      loop->now_ms + (uint64_t)found->tv_sec * 1000 +
				      (uint64_t)(found->tv_usec + 999) / 1000);
	else
		pst_timer_cancel(loop, &channel->timer);
}

static void on_channel_due(struct pst_timer *timer)
{
	struct channel *channel = PST_CONTAINER(timer, struct channel, timer);

	ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(channel);
}

static void on_ready(void *owner, ares_socket_t number, bool readable, bool writable)
{
	struct channel *channel = owner;

	ares_process_fd(channel->ares, readable ? number : ARES_SOCKET_BAD,
			writable ? number : ARES_SOCKET_BAD);
	rearm(channel);
}

/* ---- answers --------------------------------------------------------------------------------- */

static enum pst_dns_status status_of(ares_status_t status)
{
	switch (status) {
	case ARES_SUCCESS:
		return PST_DNS_OK;
	case ARES_ENODATA:
		return PST_DNS_NODATA;
	case ARES_ENOTFOUND:
		return PST_DNS_NXDOMAIN;
	case ARES_ETIMEOUT:
		return PST_DNS_TIMEOUT;
	case ARES_ENOMEM:
	case ARES_EBADNAME:
	case ARES_EBADSTR:
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
	case ARES_EFILE:
		return PST_DNS_OURS;
	default:
		return PST_DNS_SERVFAIL;
	}
}

/* Our records, and the lower-cased names they point at. */
struct reading {
	struct pst_dns_answer answer;
	struct pst_dns_record records[PST_DNS_RECORDS_MAX];
	struct pst_buf names;
	bool chained;        /* by CNAMEs */
	bool without_memory; /* a record could not be read */
	uint8_t area[PST_DNS_RECORDS_MAX * (PST_DNS_NAME_MAX + 1)];
};

static void put_name(struct reading *reading, struct pst_dns_record *record, const char *name)
{
	struct pst_span text = pst_span_text(name);
	uint8_t *at = pst_buf_tail(&reading->names);

	if (text.len > 0 && text.at[text.len - 1] == '.')
		text.len--;
	if (text.len > PST_DNS_NAME_MAX || pst_buf_put(&reading->names, text) < 0) {
		reading->answer.cut = true;
		record->data = PST_SPAN_NONE;
		return;
	}
	for (uint32_t i = 0; i < text.len; i++)
		at[i] = pst_lower(at[i]);
	record->data = (struct pst_span){at, text.len};
}

static void put_text(struct reading *reading, struct pst_dns_record *record, const ares_dns_rr_t *rr)
{
	size_t len = 0;
	const uint8_t *at = ares_dns_rr_get_bin(rr, ARES_RR_TXT_DATA, &len);

	if (!at)
		reading->without_memory = true; /* the strings are joined in memory of their own */
	if (len > PST_DNS_TEXT_MAX) {
		len = PST_DNS_TEXT_MAX;
		reading->answer.cut = true;
	}
	record->data = (struct pst_span){at, at ? (uint32_t)len : 0};
}

static void put_record(struct reading *reading, enum pst_dns_type type, const ares_dns_rr_t *rr)
{
	struct pst_dns_record *record;

	if (reading->answer.record_count == PST_DNS_RECORDS_MAX) {
		reading->answer.cut = true;
		return;
	}
	record = &reading->records[reading->answer.record_count++];
	*record = (struct pst_dns_record){.addr.family = PST_FAMILY_NONE};
	switch (type) {
	case PST_DNS_A:
		record->addr.family = PST_FAMILY_IPV4;
		memcpy(record->addr.ip, ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR), 4);
		break;
	case PST_DNS_AAAA:
		record->addr.family = PST_FAMILY_IPV6;
		memcpy(record->addr.ip, ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR), 16);
		break;
	case PST_DNS_NS:
		put_name(reading, record, ares_dns_rr_get_str(rr, ARES_RR_NS_NSDNAME));
		break;
	case PST_DNS_PTR:
		put_name(reading, record, ares_dns_rr_get_str(rr, ARES_RR_PTR_DNAME));
		break;
	case PST_DNS_MX:
		record->preference = ares_dns_rr_get_u16(rr, ARES_RR_MX_PREFERENCE);
		put_name(reading, record, ares_dns_rr_get_str(rr, ARES_RR_MX_EXCHANGE));
		break;
	case PST_DNS_TXT:
		put_text(reading, record, rr);
		break;
	}
}

static bool same_name(const char *a, const char *b)
{
	struct pst_span left = pst_span_text(a), right = pst_span_text(b);

	if (left.len > 0 && left.at[left.len - 1] == '.')
		left.len--;
	if (right.len > 0 && right.at[right.len - 1] == '.')
		right.len--;
	return pst_span_eq_nocase(left, right);
}

/* The name that a chain of CNAMEs leads to (their TTLs count); NULL: it leads nowhere. */
static const char *end_of_chain(struct reading *reading, const ares_dns_record_t *record,
				const char *name)
{
	size_t count = ares_dns_record_rr_cnt(record, ARES_SECTION_ANSWER);
	bool moved = true;

	for (uint32_t step = 0; moved; step++) {
		if (step == CNAMES_MAX)
			return NULL;
		moved = false;
		for (size_t i = 0; i < count && !moved; i++) {
			const ares_dns_rr_t *rr =
				ares_dns_record_rr_get_const(record, ARES_SECTION_ANSWER, i);

			if (ares_dns_rr_get_type(rr) != ARES_REC_TYPE_CNAME ||
			    !same_name(ares_dns_rr_get_name(rr), name))
				continue;
			name = ares_dns_rr_get_str(rr, ARES_RR_CNAME_CNAME);
			reading->answer.ttl_s =
				PST_MIN(reading->answer.ttl_s, ares_dns_rr_get_ttl(rr));
			moved = true;
			reading->chained = true;
		}
	}
	return name;
}

static void read_answer(struct reading *reading, enum pst_dns_type type,
			const ares_dns_record_t *record)
{
	size_t count = ares_dns_record_rr_cnt(record, ARES_SECTION_ANSWER);
	const char *name = NULL;

	reading->answer.ttl_s = UINT32_MAX;
	if (ares_dns_record_query_get(record, 0, &name, NULL, NULL) != ARES_SUCCESS) {
		reading->answer.status = PST_DNS_SERVFAIL;
		return;
	}
	name = end_of_chain(reading, record, name);
	if (!name) {
		reading->answer.status = PST_DNS_SERVFAIL;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const ares_dns_rr_t *rr =
			ares_dns_record_rr_get_const(record, ARES_SECTION_ANSWER, i);

		if ((int)ares_dns_rr_get_type(rr) != (int)type ||
		    ares_dns_rr_get_class(rr) != ARES_CLASS_IN ||
		    !same_name(ares_dns_rr_get_name(rr), name))
			continue;
		reading->answer.ttl_s = PST_MIN(reading->answer.ttl_s, ares_dns_rr_get_ttl(rr));
		put_record(reading, type, rr);
	}
	reading->answer.status = reading->without_memory	? PST_DNS_OURS
				 : reading->answer.record_count ? PST_DNS_OK
								: PST_DNS_NODATA;
	if (reading->answer.status != PST_DNS_OK)
		reading->answer.record_count = 0;
}

static const ares_dns_rr_t *find_authority(const ares_dns_record_t *record, ares_dns_rec_type_t type)
{
	size_t count = record ? ares_dns_record_rr_cnt(record, ARES_SECTION_AUTHORITY) : 0;

	for (size_t i = 0; i < count; i++) {
		const ares_dns_rr_t *rr =
			ares_dns_record_rr_get_const(record, ARES_SECTION_AUTHORITY, i);

		if (ares_dns_rr_get_type(rr) == type)
			return rr;
	}
	return NULL;
}

/* RFC 2308 section 5: the SOA's TTL or its MINIMUM, whichever is less. */
static uint32_t negative_ttl_s(const ares_dns_record_t *record)
{
	const ares_dns_rr_t *soa = find_authority(record, ARES_REC_TYPE_SOA);

	return soa ? PST_MIN(ares_dns_rr_get_ttl(soa), ares_dns_rr_get_u32(soa, ARES_RR_SOA_MINIMUM))
		   : 0;
}

/* An empty answer that names other servers is no word about the name (RFC 2308 section 2.2), nor is
 * a CNAME out of the zone of whoever was asked without recursion. A forwarder's cache, on the other
 * hand, may well leave out the SOA. */
static bool knows_nothing(const struct reading *reading, const ares_dns_record_t *record, bool direct)
{
	if (find_authority(record, ARES_REC_TYPE_SOA))
		return false;
	if (reading->chained)
		return direct;
	return record && !(ares_dns_record_get_flags(record) & ARES_FLAG_AA) &&
	       find_authority(record, ARES_REC_TYPE_NS);
}

static void close_query(struct pst_dns_cares *cares, struct pst_dns_query *query)
{
	query->open = false;
	query->impl = NULL;
	pst_list_remove(&query->node);
	pst_timer_cancel(cares->env.loop, &query->timer);
	pst_loop_forget(&query->task);
}

static void on_cares(void *data, ares_status_t status, size_t timeouts,
		     const ares_dns_record_t *record)
{
	struct pending *pending = data;
	struct channel *channel = pending->channel;
	struct pst_dns_cares *cares = channel->cares;
	struct pst_dns_query *query = pending->query;
	enum pst_dns_type type = pending->type;
	struct reading reading;

	(void)timeouts;
	channel->pending_count--;
	pst_pool_put(&cares->pendings, pending);
	if (!query)
		return;
	close_query(cares, query);
	reading.answer = (struct pst_dns_answer){.status = status_of(status),
						 .records = reading.records};
	reading.chained = false;
	reading.without_memory = false;
	pst_buf_init(&reading.names, reading.area, sizeof(reading.area));
	if (reading.answer.status == PST_DNS_OK)
		read_answer(&reading, type, record);
	if (reading.answer.status == PST_DNS_NODATA &&
	    knows_nothing(&reading, record, channel != &cares->main))
		reading.answer.status = PST_DNS_SERVFAIL;
	if (reading.answer.status == PST_DNS_NODATA || reading.answer.status == PST_DNS_NXDOMAIN)
		reading.answer.ttl_s = negative_ttl_s(record);
	else if (reading.answer.status != PST_DNS_OK)
		reading.answer.ttl_s = 0;
	query->on_answer(query, &reading.answer);
}

/* ---- channels -------------------------------------------------------------------------------- */

/* "192.0.2.1:53,[2001:db8::1]:53" */
static void put_servers(struct pst_buf *out, const struct pst_addr *servers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct pst_addr server = servers[i];

		server.port = server.port ? server.port : 53;
		if (i > 0)
			PST_BUG_ON(pst_buf_put_byte(out, ','));
		pst_addr_put_port(out, &server);
	}
	PST_BUG_ON(pst_buf_put_byte(out, 0));
}

static int set_servers(struct channel *channel, const struct pst_addr *servers, uint32_t count)
{
	uint8_t area[PST_DNS_SERVERS_MAX * (PST_ADDR_TEXT_MAX + 1) + 1];
	struct pst_buf text;
	int ret;

	pst_buf_init(&text, area, sizeof(area));
	put_servers(&text, servers, count);
	ret = ares_set_servers_ports_csv(channel->ares, (const char *)area);
	return ret == ARES_SUCCESS ? 0 : ret == ARES_ENOMEM ? -PST_E_NOMEM : -PST_E_IO;
}

static int open_channel(struct pst_dns_cares *cares, struct channel *channel, bool recursive,
			const struct pst_addr *servers, uint32_t count)
{
	char lookups[] = "b"; /* by the network alone: no hosts file */
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN |
			 ARES_FLAG_EDNS | (recursive ? 0 : ARES_FLAG_NORECURSE),
		.timeout = PST_DNS_CARES_TRY_MS,
		.tries = PST_DNS_CARES_TRIES,
		.lookups = lookups,
		.sock_state_cb = pst_cares_socket_state,
		.sock_state_cb_data = &channel->user,
		.ednspsz = 1232,
		.udp_max_queries = PORT_QUERIES_MAX,
		.qcache_max_ttl = 0,
	};
	int ret;

	channel->cares = cares;
	channel->timer.on_due = on_channel_due;
	channel->user = (struct pst_cares_user){&cares->sockets, channel};
	ret = ares_init_options(&channel->ares, &options,
				ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
					ARES_OPT_EDNSPSZ | ARES_OPT_UDP_MAX_QUERIES |
					ARES_OPT_QUERY_CACHE | ARES_OPT_NOROTATE);
	if (ret != ARES_SUCCESS) {
		channel->ares = NULL;
		return ret == ARES_ENOMEM ? -PST_E_NOMEM : -PST_E_IO;
	}
	ret = ares_set_socket_functions_ex(channel->ares, &pst_cares_socket_functions,
					   &channel->user) == ARES_SUCCESS
		      ? 0
		      : -PST_E_IO;
	if (ret == 0 && count > 0)
		ret = set_servers(channel, servers, count);
	if (ret < 0) {
		ares_destroy(channel->ares);
		channel->ares = NULL;
	}
	return ret;
}

static void close_channel(struct channel *channel)
{
	if (!channel->ares)
		return;
	ares_destroy(channel->ares);
	channel->ares = NULL;
	pst_timer_cancel(channel->cares->env.loop, &channel->timer);
}

static bool same_servers(const struct pst_dns_servers *a, const struct pst_dns_servers *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (!pst_addr_eq(&a->addrs[i], &b->addrs[i]) ||
		    a->addrs[i].port != b->addrs[i].port)
			return false;
	return true;
}

/* The channel to these servers: one that is open, or else the one that was not used for longest.
 *  ret NULL: none is named, all channels are busy, or there is no memory */
static struct channel *direct_channel(struct pst_dns_cares *cares,
				      const struct pst_dns_servers *servers)
{
	struct channel *oldest = NULL;

	if (servers->count == 0)
		return NULL; /* c-ares would ask the system's resolvers */
	for (uint32_t i = 0; i < DIRECT_MAX; i++) {
		struct channel *channel = &cares->direct[i];

		if (channel->ares && same_servers(&channel->servers, servers))
			return channel;
		if (channel->pending_count == 0 &&
		    (!oldest || channel->used_turn < oldest->used_turn))
			oldest = channel;
	}
	if (!oldest)
		return NULL;
	close_channel(oldest);
	oldest->servers = *servers;
	if (open_channel(cares, oldest, false, servers->addrs, servers->count) < 0)
		return NULL;
	return oldest;
}

/* ---- the seam -------------------------------------------------------------------------------- */

static struct pst_dns_cares *cares_of(struct pst_dns *dns)
{
	return PST_CONTAINER(dns, struct pst_dns_cares, dns);
}

/* Nobody waits for the question's answer any more. */
static void take_back(struct pst_dns_cares *cares, struct pst_dns_query *query)
{
	/* While its task is queued, nothing is pending. */
	if (!pst_node_linked(&query->task.node))
		((struct pending *)query->impl)->query = NULL;
	close_query(cares, query);
}

static void on_query_due(struct pst_timer *timer)
{
	struct pst_dns_query *query = PST_CONTAINER(timer, struct pst_dns_query, timer);
	struct pst_dns_cares *cares = ((struct pending *)query->impl)->channel->cares;
	struct pst_dns_answer answer = {.status = PST_DNS_TIMEOUT};

	take_back(cares, query);
	query->on_answer(query, &answer);
}

#define NAME_TEXT_SIZE (4 * PST_DNS_NAME_MAX + 1)

/* As c-ares reads names: bytes that are no letter, digit or hyphen in decimal. */
static bool name_text(struct pst_span name, char *out)
{
	struct pst_buf text;

	if (name.len == 0 || name.len > PST_DNS_NAME_MAX)
		return false;
	pst_buf_init(&text, out, NAME_TEXT_SIZE);
	for (uint32_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];

		if (pst_is_alnum(c) || c == '-' || c == '.' || c == '_')
			PST_BUG_ON(pst_buf_put_byte(&text, c));
		else
			PST_BUG_ON(pst_buf_printf(&text, "\\%03u", c));
	}
	PST_BUG_ON(pst_buf_put_byte(&text, 0));
	return true;
}

static bool has_room(const struct channel *channel)
{
	const struct pst_dns_cares *cares = channel->cares;

	return channel == &cares->main ||
	       channel->pending_count < PST_MAX(1, cares->env.query_count_max / DIRECT_SHARE);
}

static void on_ask(struct pst_task *task)
{
	struct pst_dns_query *query = PST_CONTAINER(task, struct pst_dns_query, task);
	struct pst_dns_cares *cares = query->impl;
	struct pst_dns_answer not_asked = {.status = PST_DNS_OURS};
	struct channel *channel = &cares->main;
	struct pending *pending = NULL;
	char name[NAME_TEXT_SIZE];

	if (query->servers)
		channel = direct_channel(cares, query->servers);
	if (channel && has_room(channel) && name_text(query->name, name))
		pending = pst_pool_get_zeroed(&cares->pendings);
	if (!pending) {
		close_query(cares, query);
		query->on_answer(query, &not_asked);
		return;
	}
	*pending = (struct pending){.channel = channel, .query = query, .type = query->type};
	query->impl = pending;
	pst_timer_set(cares->env.loop, &query->timer, query->deadline_ms);
	channel->pending_count++;
	channel->used_turn = cares->env.loop->turn_count;
	(void)ares_query_dnsrec(channel->ares, name, ARES_CLASS_IN,
				(ares_dns_rec_type_t)query->type, on_cares, pending, NULL);
	rearm(channel);
}

static void cares_query(struct pst_dns *dns, struct pst_dns_query *query)
{
	struct pst_dns_cares *cares = cares_of(dns);

	PST_BUG_ON(query->open);
	query->open = true;
	query->impl = cares;
	query->timer.on_due = on_query_due;
	query->task.on_run = on_ask;
	pst_list_append(&cares->open, &query->node);
	pst_loop_resume(cares->env.loop, &query->task);
}

static void cares_cancel(struct pst_dns *dns, struct pst_dns_query *query)
{
	if (query->open)
		take_back(cares_of(dns), query);
}

static const struct pst_dns_ops ops = {.query = cares_query, .cancel = cares_cancel};

/* ---- life ------------------------------------------------------------------------------------ */

int pst_dns_cares_new(const struct pst_dns_cares_env *env, const struct pst_dns_conf *conf,
		      struct pst_dns_cares **out)
{
	struct pst_dns_cares *cares;
	int ret;

	if (account.mem)
		return -PST_E_BUSY;
	cares = pst_mem_alloc(env->mem, sizeof(*cares));
	if (!cares)
		return -PST_E_NOMEM;
	account.mem = env->mem;
	account.used_bytes = 0;
	account.bytes_max = library_bound(env->query_count_max);
	cares->dns.ops = &ops;
	cares->env = *env;
	pst_list_init(&cares->open);
	cares->sockets.net = env->net;
	cares->sockets.dgrams = env->dgrams;
	cares->sockets.on_ready = on_ready;
	pst_pool_init(&cares->pendings, "dns question", env->mem, sizeof(struct pending),
		      env->query_count_max, 16);
	ret = ares_library_init_mem(ARES_LIB_INIT_ALL, account_alloc, account_free,
				    account_realloc) == ARES_SUCCESS
		      ? 0
		      : -PST_E_NOMEM;
	if (ret == 0) {
		ret = open_channel(cares, &cares->main, true, conf->resolvers,
				   conf->resolver_count);
		if (ret < 0)
			ares_library_cleanup();
	}
	if (ret < 0) {
		pst_pool_fini(&cares->pendings);
		pst_mem_free(env->mem, cares, sizeof(*cares));
		account.mem = NULL;
		return ret;
	}
	*out = cares;
	return 0;
}

void pst_dns_cares_free(struct pst_dns_cares *cares)
{
	struct pst_mem *mem = cares->env.mem;
	struct pst_node *node;

	while ((node = pst_list_first(&cares->open)))
		take_back(cares, PST_CONTAINER(node, struct pst_dns_query, node));
	close_channel(&cares->main);
	for (uint32_t i = 0; i < DIRECT_MAX; i++)
		close_channel(&cares->direct[i]);
	ares_library_cleanup();
	pst_pool_fini(&cares->pendings);
	pst_mem_free(mem, cares, sizeof(*cares));
	account.mem = NULL;
}

struct pst_dns *pst_dns_cares_seam(struct pst_dns_cares *cares)
{
	return &cares->dns;
}

/* ares_reinit would not read the system's resolvers any more once others were set, so a channel that
 * never had others is opened to ask it for them. */
static int set_system_servers(struct pst_dns_cares *cares)
{
	struct channel fresh = {0};
	int ret = open_channel(cares, &fresh, true, NULL, 0);
	char *servers;

	if (ret < 0)
		return ret;
	servers = ares_get_servers_csv(fresh.ares);
	ret = servers && ares_set_servers_ports_csv(cares->main.ares, servers) == ARES_SUCCESS
		      ? 0
		      : -PST_E_NOMEM;
	ares_free_string(servers);
	close_channel(&fresh);
	return ret;
}

int pst_dns_cares_reload(struct pst_dns_cares *cares, const struct pst_dns_conf *conf)
{
	if (conf->resolver_count > 0)
		return set_servers(&cares->main, conf->resolvers, conf->resolver_count);
	return set_system_servers(cares);
}
