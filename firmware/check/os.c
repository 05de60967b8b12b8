/* check/os.c - see os.h */
#include "check/os.h"

#include "check/os_names.h"

/* ---- matching -------------------------------------------------------------------------------- */

static bool window_fits(const struct pst_os_signature *signature, const struct pst_net_syn *syn)
{
	uint32_t window = syn->window, low = signature->window_low, high = signature->window_high;

	switch ((enum pst_os_window)signature->window) {
	case PST_OS_WINDOW_ANY:
		return true;
	case PST_OS_WINDOW_RANGE:
		return window >= low && window <= high;
	case PST_OS_WINDOW_MSS:
		return syn->mss > 0 && window % syn->mss == 0 && window / syn->mss >= low &&
		       window / syn->mss <= high;
	case PST_OS_WINDOW_STEP:
		return window > 0 && window % low == 0;
	}
	return false;
}

static bool matches(const struct pst_os_signature *signature, const struct pst_net_syn *syn)
{
	return (signature->any_layout || signature->layout == syn->layout) &&
	       syn->ttl <= signature->ttl && signature->ttl - syn->ttl <= PST_OS_HOPS_MAX &&
	       (syn->quirks & signature->quirks) == signature->quirks &&
	       (syn->quirks & signature->quirks_not) == 0 &&
	       (signature->any_mss || signature->mss == syn->mss) &&
	       syn->scale >= signature->scale_low && syn->scale <= signature->scale_high &&
	       window_fits(signature, syn);
}

/* What systems begin with, as far as the rest can tell. */
static uint8_t first_ttl(const struct pst_net_syn *syn)
{
	static const uint8_t usual[] = {32, 64, 128};

	for (uint32_t i = 0; i < PST_COUNT(usual); i++)
		if (syn->ttl <= usual[i])
			return usual[i];
	return 255;
}

struct pst_os_guess pst_os_guess(const struct pst_os_conf *conf, const struct pst_net_syn *syn)
{
	for (uint32_t i = 0; i < conf->signature_count; i++) {
		const struct pst_os_signature *signature = &conf->signatures[i];

		if (matches(signature, syn))
			return (struct pst_os_guess){
				.system = (enum pst_system)signature->system,
				.signature = signature,
				.hops = (uint8_t)(signature->ttl - syn->ttl),
			};
	}
	return (struct pst_os_guess){
		.system = PST_SYSTEM_UNKNOWN,
		.hops = (uint8_t)(first_ttl(syn) - syn->ttl),
	};
}

/* ---- as text --------------------------------------------------------------------------------- */

const char *pst_os_name(enum pst_system system)
{
	static const char *const names[PST_SYSTEM_COUNT] = {
#define PST_SYSTEM(name, points, describe) "OS_" #name,
#include "facts/systems.def"
#undef PST_SYSTEM
	};

	PST_BUG_ON((uint32_t)system >= PST_SYSTEM_COUNT);
	return names[system];
}

/* One of a list, with a comma in front of all but the first. */
static int put_item(struct pst_buf *out, const char **comma, const char *name)
{
	int ret = pst_buf_put_text(out, *comma);

	*comma = ",";
	return ret ? ret : pst_buf_put_text(out, name);
}

static int put_layout(struct pst_buf *out, uint64_t layout)
{
	const char *comma = "";
	int ret = 0;

	if (layout == 0)
		return pst_buf_put_text(out, "-");
	for (; layout > 0 && ret == 0; layout >>= 4)
		ret = put_item(out, &comma, pst_os_option_names[layout & 15]);
	return ret;
}

static int put_quirks(struct pst_buf *out, uint32_t quirks)
{
	const char *comma = " ";
	int ret = 0;

	for (uint32_t i = 0; i < PST_OS_QUIRK_COUNT && ret == 0; i++)
		if (quirks & 1U << i)
			ret = put_item(out, &comma, pst_os_quirk_names[i]);
	return ret;
}

/* A number, or "-" for none, and a blank. */
static int put_number(struct pst_buf *out, uint32_t number, uint32_t none)
{
	int ret = number == none ? pst_buf_put_byte(out, '-') : pst_buf_put_u64(out, number);

	return ret ? ret : pst_buf_put_byte(out, ' ');
}

int pst_os_syn_put(struct pst_buf *out, const struct pst_net_syn *syn)
{
	int ret = put_number(out, first_ttl(syn), UINT32_MAX);

	if (ret == 0)
		ret = put_number(out, syn->window, UINT32_MAX);
	if (ret == 0)
		ret = put_number(out, syn->scale, PST_SYN_NO_SCALE);
	if (ret == 0)
		ret = put_number(out, syn->mss, 0);
	if (ret == 0)
		ret = put_layout(out, syn->layout);
	return ret ? ret : put_quirks(out, syn->quirks);
}

int pst_os_evidence_put(struct pst_buf *out, const struct pst_os_guess *guess,
			const struct pst_net_syn *syn)
{
	int ret = 0;

	if (guess->signature) {
		pst_buf_put_escaped(out, guess->signature->label, PST_OS_LABEL_MAX);
		ret = pst_buf_put_text(out, ", ");
	}
	if (ret == 0)
		ret = pst_buf_put_u64(out, guess->hops);
	if (ret == 0)
		ret = pst_buf_put_text(out, guess->hops == 1 ? " hop: " : " hops: ");
	return ret ? ret : pst_os_syn_put(out, syn);
}
