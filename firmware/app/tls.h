/* app/tls.h - the certificates of a generation: read, judged, and hung onto it as TLS contexts
 *
 * Layer: app. Uses: tls_mbedtls, crypto_mbedtls, config, base.
 * Concept: a configuration names files; here they become proxy.tls and proxy.relay.tls, before the
 * generation is handed to the proxy, and go with it. Where no certificate is named one is made: a
 * P-256 key and a certificate that nobody else has signed, kept as one file in the state folder
 * (so that key and certificate can never be of two different makings).
 * Memory: contexts and what mbedTLS needs come from the given pst_mem. Key texts are wiped before
 * they are given back.
 */
#ifndef PST_APP_TLS_H
#define PST_APP_TLS_H

#include "app/app.h"
#include "base/rng.h"
#include "crypto/crypto_mbedtls.h"
#include "loop/loop.h"

#define PST_APP_TLS_OWN_BYTES 2560

struct pst_app_tls {
	struct pst_app_machine *machine;
	struct pst_mem_system *memory;
	struct pst_rng rng;
	struct pst_crypto_mbedtls_env env;
	bool open;
	/* The certificate of our own making while it could not be kept in a file. */
	uint8_t own_area[PST_APP_TLS_OWN_BYTES];
	uint32_t own_len;
	uint32_t error_count, warning_count; /* of the last attach */
};

/* Start the library. The struct stays where it is until close.
 *  in   memory: the same that `machine` loads from
 *       clock: outlives it
 *  ret  0 | -PST_E_NOMEM | -PST_E_IO */
int pst_app_tls_open(struct pst_app_tls *tls, struct pst_app_machine *machine,
		     struct pst_mem_system *memory, struct pst_poller *clock) PST_MUST_CHECK;
/* Every generation must have gone. Harmless if it was not opened. */
void pst_app_tls_close(struct pst_app_tls *tls);

enum pst_app_tls_purpose {
	PST_APP_TLS_TRY, /* leave nothing on the disk */
	PST_APP_TLS_RUN,
};

/* Give a generation its contexts. Without a good server's certificate proxy.tls stays NULL, without
 * the CAs no server can be verified; everything else works.
 *  in   report: gets complaints and warnings; NULL writes them to stderr
 *  ret  0 | -PST_E_SYNTAX: something is bad, told to the report | -PST_E_NOMEM */
int pst_app_tls_attach(struct pst_app_tls *tls, struct pst_config *config,
		       enum pst_app_tls_purpose purpose, struct pst_config_report *report)
	PST_MUST_CHECK;

/* What TLS adds at most to the memory of `session_count` clients and `relay_count` internal
 * connections. */
uint64_t pst_app_tls_bound(const struct pst_config *config, uint32_t relay_count);

#endif
