#include "grid/hubca.h"

#include "base/file.h"
#include "grid/addr.h"
#include "ident/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static int fail(struct err *e, const char *doing)
{
	const char *why = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return err_set(e, -EIO, "%s: %s", doing, why ? why : "the TLS library gives no reason");
}

static bool extend(X509 *to, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *x;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, to, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = x && X509_add_ext(to, x, -1);
	X509_EXTENSION_free(x);
	return ok;
}

/* From 2025 to 2100, number 1: the same for ever. */
static X509 *ca_make(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;

	if (x && X509_set_version(x, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"Zero-OS hub", -1, -1, 0) && X509_set_issuer_name(x, name) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), 1735689600) && ASN1_TIME_set(X509_getm_notAfter(x), 4102444799) && X509_set_pubkey(x, key) &&
	    extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") && extend(x, x, NID_key_usage, "critical,keyCertSign") &&
	    extend(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, NULL))
		return x;
	X509_free(x);
	return NULL;
}

static int pem_append(struct buf *ret, BIO *b)
{
	char *at;
	long n = BIO_get_mem_data(b, &at);

	buf_add(ret, (struct str){ at, (size_t)n });
	return buf_check(ret);
}

int hubca_pem(const struct key *ca, struct buf *ret, struct err *e)
{
	AUTO_PKEY *key = key_evp(ca);
	AUTO_X509 *x = key ? ca_make(key) : NULL;
	AUTO_BIO *b = BIO_new(BIO_s_mem());

	return x && b && PEM_write_bio_X509(b, x) && !pem_append(ret, b) ? 0 : fail(e, "make the hub's certificate authority");
}

int hubca_line(const struct key *ca, struct buf *ret, struct err *e)
{
	AUTO_BUF struct buf pem = { 0 };
	int r = hubca_pem(ca, &pem, e);

	if (r)
		return r;
	hub_ca_line(pem.p, ret);
	return buf_check(ret);
}

static bool is_address(const char *name)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

	ASN1_OCTET_STRING_free(ip);
	return ip != NULL;
}

/* OpenSSL's own little language: a name with a comma in it would say more than it should. */
static int names_format(const char *const *names, struct buf *ret, struct err *e)
{
	for (size_t i = 0; names[i]; i++) {
		if (!*names[i] || strspn(names[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_") != strlen(names[i]))
			return err_set(e, -EINVAL, "'%.100s' is no host name and no address", names[i]);
		buf_addf(ret, "%s%s:%s", i ? "," : "", is_address(names[i]) ? "IP" : "DNS", names[i]);
	}
	return buf_check(ret);
}

static bool leaf_fill(X509 *x, X509 *ca, EVP_PKEY *own, const char *names, int64_t now_s)
{
	uint64_t serial = 0;

	random_bytes(&serial, sizeof(serial));
	return X509_set_version(x, X509_VERSION_3) && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) &&
	       X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"hub", -1, -1, 0) &&
	       X509_set_issuer_name(x, X509_get_subject_name(ca)) && ASN1_TIME_set(X509_getm_notBefore(x), now_s - 86400) && /* clocks differ */
	       ASN1_TIME_set(X509_getm_notAfter(x), now_s + HUBCA_LEAF_DAYS * 86400ll) && X509_set_pubkey(x, own) &&
	       extend(x, ca, NID_basic_constraints, "critical,CA:FALSE") && extend(x, ca, NID_key_usage, "critical,digitalSignature") &&
	       extend(x, ca, NID_authority_key_identifier, "keyid") && /* strict verifiers ask for it */
	       extend(x, ca, NID_ext_key_usage, "serverAuth,clientAuth") && extend(x, ca, NID_subject_alt_name, names);
}

int hubca_leaf(const struct key *ca, const char *const *names, int64_t now_s, struct buf *ret_cert, struct buf *ret_key, struct err *e)
{
	AUTO_PKEY *ca_key = key_evp(ca), *own = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	AUTO_X509 *root = ca_key ? ca_make(ca_key) : NULL, *x = X509_new();
	AUTO_BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
	AUTO_BUF struct buf text = { 0 };
	int r = names_format(names, &text, e);

	if (r)
		return r;
	if (!root || !own || !x || !cert || !key || !leaf_fill(x, root, own, text.p, now_s) || !X509_sign(x, ca_key, NULL) ||
	    !PEM_write_bio_X509(cert, x) || !PEM_write_bio_X509(cert, root) || !PEM_write_bio_PrivateKey(key, own, NULL, NULL, 0, NULL, NULL) ||
	    pem_append(ret_cert, cert) || pem_append(ret_key, key))
		return fail(e, "make the hub's certificate");
	return 0;
}

bool hubca_leaf_is_good(const struct key *ca, struct str pem, const char *const *names, int64_t now_s)
{
	time_t soon = (time_t)(now_s + HUBCA_RENEW_DAYS * 86400ll);
	AUTO_BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	AUTO_X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	AUTO_PKEY *key = key_evp(ca);
	bool good = x && key && X509_verify(x, key) == 1 && X509_cmp_time(X509_get0_notAfter(x), &soon) > 0;

	for (size_t i = 0; good && names[i]; i++)
		good = is_address(names[i]) ? X509_check_ip_asc(x, names[i], 0) == 1 : X509_check_host(x, names[i], 0, 0, NULL) == 1;
	ERR_clear_error();
	return good;
}
