/* support/dns_zone.h - a dns that answers from a script, in simulated or real time
 *
 * Lines of the script: NAME TYPE DATA [ttl=N] [after=MS], one record each; several of a name and type
 * make one answer. DATA: an address (A, AAAA), a name (NS, PTR), "PREFERENCE NAME" (MX), the rest of
 * the line (TXT). Instead of a record: NAME TYPE servfail | timeout | ours | nodata. A name of which
 * another type, or a name below, is in the script has no such data; all others do not exist.
 * `* TYPE DATA` is for every name without lines of its own, NAME ANY status for the types that NAME
 * has no lines of. NAME CNAME NAME is followed.
 */
#ifndef PST_SUPPORT_DNS_ZONE_H
#define PST_SUPPORT_DNS_ZONE_H

#include "base/mem.h"
#include "dns/dns.h"

#define PST_DNS_ZONE_LINES_MAX 2048

enum { PST_DNS_ZONE_CNAME = 5, PST_DNS_ZONE_ANY = 255 };

struct pst_dns_zone_line {
	char name[256];
	int type; /* enum pst_dns_type, PST_DNS_ZONE_CNAME or PST_DNS_ZONE_ANY */
	enum pst_dns_status status;
	struct pst_dns_record record;
	char *data; /* what record.data points at */
	uint32_t ttl_s, after_ms;
};

struct pst_dns_zone {
	struct pst_dns dns;
	struct pst_loop *loop;
	struct pst_dns_zone_line *lines[PST_DNS_ZONE_LINES_MAX];
	uint32_t line_count;
	uint32_t query_count, open_count;
	char last_name[256]; /* of the last question */
	bool last_direct;    /* put to a zone's own servers */
};

void pst_dns_zone_init(struct pst_dns_zone *zone, struct pst_loop *loop);
void pst_dns_zone_fini(struct pst_dns_zone *zone);
/* Any number of lines. ret false: one of them makes no sense */
bool pst_dns_zone_add(struct pst_dns_zone *zone, const char *text);
/* One record, of any bytes. ret false: it makes no sense */
bool pst_dns_zone_add_record(struct pst_dns_zone *zone, const char *name, const char *type,
			     struct pst_span data);
void pst_dns_zone_clear(struct pst_dns_zone *zone);
/* The answer to a question, now, for tests that drive a core without a loop.
 *  in  records: room for PST_DNS_RECORDS_MAX, borrowed by the answer */
struct pst_dns_answer pst_dns_zone_answer(struct pst_dns_zone *zone, struct pst_span name,
					  enum pst_dns_type type, struct pst_dns_record *records,
					  uint32_t *after_ms);
bool pst_dns_zone_type(struct pst_span text, enum pst_dns_type *type);

#endif
