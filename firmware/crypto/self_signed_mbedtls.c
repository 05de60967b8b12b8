/* crypto/self_signed_mbedtls.c - a certificate of our own making, for a first start without one */
#include <string.h>

#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_time.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "crypto/crypto_mbedtls.h"

#define HOST_BYTES_MAX 253
/* RFC 5280 appendix A, ub-common-name */
#define COMMON_NAME_BYTES_MAX 64
#define SERIAL_BYTES 16
#define DAY_S 86400
#define YEARS 10

struct work {
	psa_key_id_t id;
	mbedtls_pk_context key;
	mbedtls_x509write_cert certificate;
	mbedtls_asn1_sequence usage;
	mbedtls_x509_san_list name;
	char host[HOST_BYTES_MAX + 1];
	char from[16];
	char until[16];
	uint8_t subject_area[COMMON_NAME_BYTES_MAX + 8];
	uint8_t pem[PST_CRYPTO_SELF_SIGNED_CERTIFICATE_BYTES];
};

static bool is_host(struct pst_span host)
{
	if (host.len == 0 || host.len > HOST_BYTES_MAX)
		return false;
	for (uint32_t i = 0; i < host.len; i++) {
		uint8_t c = host.at[i];

		if (!pst_is_alnum(c) && c != '-' && c != '.')
			return false;
	}
	return true;
}

/* "YYYYMMDDhhmmss" */
static int write_time(char out[16], uint64_t wall_s, int years)
{
	mbedtls_time_t at = (mbedtls_time_t)wall_s;
	struct tm tm;
	struct pst_buf buf;

	if (!mbedtls_platform_gmtime_r(&at, &tm))
		return -PST_E_RANGE;
	/* Not every year has a 29 February. */
	if (years > 0 && tm.tm_mon == 1 && tm.tm_mday == 29)
		tm.tm_mday = 28;
	pst_buf_init(&buf, out, 15);
	return pst_buf_printf(&buf, "%04d%02d%02d%02d%02d%02d", tm.tm_year + 1900 + years,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static int make_key(struct work *work)
{
	psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;

	psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
	psa_set_key_bits(&attributes, 256);
	psa_set_key_algorithm(&attributes, PSA_ALG_DETERMINISTIC_ECDSA(PSA_ALG_ANY_HASH));
	psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_HASH | PSA_KEY_USAGE_EXPORT);
	if (psa_generate_key(&attributes, &work->id) != PSA_SUCCESS)
		return -PST_E_NOMEM;
	return mbedtls_pk_copy_from_psa(work->id, &work->key) == 0 ? 0 : -PST_E_NOMEM;
}

/* "CN=host"; a longer host name stands in the alternative name alone. */
static int write_subject(struct work *work, struct pst_span host)
{
	struct pst_buf subject;

	pst_buf_init(&subject, work->subject_area, sizeof(work->subject_area) - 1);
	if (pst_buf_put_text(&subject, "CN=") ||
		pst_buf_put(
			&subject, host.len > COMMON_NAME_BYTES_MAX ? PST_SPAN("postern") : host))
		return -PST_E_FULL;
	if (mbedtls_x509write_crt_set_subject_name(
		    &work->certificate, (const char *)work->subject_area) ||
		mbedtls_x509write_crt_set_issuer_name(
			&work->certificate, (const char *)work->subject_area))
		return -PST_E_NOMEM;
	return 0;
}

static int write_extensions(struct work *work, uint32_t host_len)
{
	work->usage.buf = (mbedtls_asn1_buf){
		.tag = MBEDTLS_ASN1_OID,
		.len = MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH),
		.p = (unsigned char *)(uintptr_t)MBEDTLS_OID_SERVER_AUTH,
	};
	work->name.node.type = MBEDTLS_X509_SAN_DNS_NAME;
	work->name.node.san.unstructured_name = (mbedtls_x509_buf){
		.tag = MBEDTLS_ASN1_IA5_STRING,
		.len = host_len,
		.p = (unsigned char *)work->host,
	};
	if (mbedtls_x509write_crt_set_basic_constraints(&work->certificate, 0, -1) ||
		mbedtls_x509write_crt_set_key_usage(
			&work->certificate, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) ||
		mbedtls_x509write_crt_set_ext_key_usage(&work->certificate, &work->usage) ||
		mbedtls_x509write_crt_set_subject_alternative_name(&work->certificate, &work->name))
		return -PST_E_NOMEM;
	return 0;
}

static int make_certificate(struct work *work, struct pst_span host)
{
	uint64_t now_s = PST_MAX(pst_crypto_mbedtls_wall_s(), PST_CRYPTO_CLOCK_FLOOR_S);
	uint8_t serial[SERIAL_BYTES];
	int ret;

	memcpy(work->host, host.at, host.len);
	ret = write_time(work->from, PST_MAX(now_s - DAY_S, PST_CRYPTO_CLOCK_FLOOR_S), 0);
	if (ret == 0)
		ret = write_time(work->until, now_s, YEARS);
	if (ret == 0)
		ret = write_subject(work, host);
	if (ret == 0)
		ret = write_extensions(work, host.len);
	if (ret)
		return ret;
	pst_crypto_mbedtls()->random(pst_crypto_mbedtls(), serial, sizeof(serial));
	/* positive, and no leading zero byte */
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	mbedtls_x509write_crt_set_version(&work->certificate, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(&work->certificate, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(&work->certificate, &work->key);
	mbedtls_x509write_crt_set_issuer_key(&work->certificate, &work->key);
	if (mbedtls_x509write_crt_set_serial_raw(&work->certificate, serial, sizeof(serial)) ||
		mbedtls_x509write_crt_set_validity(&work->certificate, work->from, work->until))
		return -PST_E_RANGE;
	return 0;
}

static int append_pem(struct work *work, int ret, struct pst_buf *out)
{
	if (ret)
		return -PST_E_NOMEM;
	return pst_buf_put_text(out, (const char *)work->pem);
}

static int make_both(
	struct work *work, struct pst_span host, struct pst_buf *key, struct pst_buf *certificate)
{
	int ret = make_key(work);

	if (ret == 0)
		ret = make_certificate(work, host);
	if (ret)
		return ret;
	ret = append_pem(work,
		mbedtls_x509write_crt_pem(&work->certificate, work->pem, sizeof(work->pem),
			mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE),
		certificate);
	if (ret)
		return ret;
	return append_pem(
		work, mbedtls_pk_write_key_pem(&work->key, work->pem, sizeof(work->pem)), key);
}

int pst_crypto_mbedtls_self_signed(
	struct pst_span host, struct pst_buf *key, struct pst_buf *certificate)
{
	uint32_t key_len = key->len, certificate_len = certificate->len;
	struct work *work;
	int ret;

	if (!is_host(host))
		return -PST_E_SYNTAX;
	work = pst_crypto_mbedtls_alloc(sizeof(*work));
	if (!work)
		return -PST_E_NOMEM;
	mbedtls_pk_init(&work->key);
	mbedtls_x509write_crt_init(&work->certificate);
	ret = make_both(work, host, key, certificate);
	if (ret) {
		key->len = key_len;
		certificate->len = certificate_len;
	}
	mbedtls_x509write_crt_free(&work->certificate);
	mbedtls_pk_free(&work->key);
	psa_destroy_key(work->id);
	mbedtls_platform_zeroize(work, sizeof(*work));
	pst_crypto_mbedtls_free(work);
	return ret;
}
