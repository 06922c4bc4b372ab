#include "gateway/cert.h"

#include "ident/openssl.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COORDINATE = 32 /* bytes of P-256 */ };

static void request_freep(X509_REQ **p)
{
	X509_REQ_free(*p);
}

/* What OpenSSL wrote. OUT keeps keys in memory that it wipes. */
static int taken(BIO *out, struct buf *ret, struct err *e)
{
	char *bytes;
	long n = BIO_get_mem_data(out, &bytes);

	buf_add(ret, (struct str){ bytes, n > 0 ? (size_t)n : 0 });
	return n <= 0 || buf_check(ret) ? err_set(e, -ENOMEM, "write PEM: out of memory") : 0;
}

int cert_key_make(struct buf *ret, struct err *e)
{
	AUTO_PKEY *key = EVP_EC_gen("P-256");
	AUTO_BIO *out = BIO_new(BIO_s_secmem());

	if (!key || !out || PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1)
		return err_set(e, -ENOMEM, "make a key: OpenSSL cannot");
	return taken(out, ret, e);
}

static int no_password(char *buf, int size, int is_writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)is_writing;
	(void)ctx;
	return -1;
}

static int key_read(struct str text, EVP_PKEY **ret, struct err *e)
{
	AUTO_BIO *in = BIO_new_mem_buf(text.p, (int)text.n);
	AUTO_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
	char group[32] = "";

	if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    strcmp(group, "prime256v1"))
		return err_set(e, -EBADMSG, "the key is not what this version makes");
	*ret = take_ptr(key);
	return 0;
}

static int base64url(const uint8_t *bytes, int n, char *ret)
{
	int len = EVP_EncodeBlock((unsigned char *)ret, bytes, n);

	while (len && ret[len - 1] == '=')
		len--;
	ret[len] = '\0';
	for (int i = 0; i < len; i++)
		ret[i] = ret[i] == '+' ? '-' : ret[i] == '/' ? '_' : ret[i];
	return len;
}

static int coordinate(const EVP_PKEY *key, const char *which, char ret[static 48])
{
	AUTO_BN *number = NULL;
	uint8_t bytes[COORDINATE];

	if (EVP_PKEY_get_bn_param(key, which, &number) != 1 || BN_bn2binpad(number, bytes, COORDINATE) != COORDINATE)
		return -ENOMEM;
	base64url(bytes, COORDINATE, ret);
	return 0;
}

/* RFC 7638, section 3.2: its members by their names' order, without a space. */
int cert_thumbprint(struct str text, char ret[static CERT_THUMBPRINT_LEN + 1], struct err *e)
{
	AUTO_PKEY *key = NULL;
	char x[48], y[48], json[160], encoded[64];
	uint8_t sum[32];
	int n, r = key_read(text, &key, e);

	if (r)
		return r;
	if (coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, x) || coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, y))
		return err_set(e, -ENOMEM, "read a key: out of memory");
	n = snprintf(json, sizeof(json), "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	BUG_ON(!EVP_Digest(json, (size_t)n, sum, NULL, EVP_sha256(), NULL) || base64url(sum, sizeof(sum), encoded) != CERT_THUMBPRINT_LEN);
	memcpy(ret, encoded, CERT_THUMBPRINT_LEN + 1);
	return 0;
}

bool cert_thumbprint_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= 'A' && s.p[i] <= 'Z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' &&
		    s.p[i] != '_')
			return false;
	return s.n == CERT_THUMBPRINT_LEN;
}

/* The name stands where names are looked for today (RFC 9525), and nowhere else: a common name has 64 characters at most. */
static int name_add(X509_REQ *request, const char *fqdn)
{
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	char value[300];
	X509_EXTENSION *one;
	int ok;

	snprintf(value, sizeof(value), "DNS:%s", fqdn);
	one = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);
	ok = all && one && sk_X509_EXTENSION_push(all, one) > 0;
	if (!ok)
		X509_EXTENSION_free(one);
	ok = ok && X509_REQ_add_extensions(request, all) == 1;
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	return ok ? 0 : -ENOMEM;
}

int cert_request(struct str text, const char *fqdn, struct buf *ret, struct err *e)
{
	CLEANUP(request_freep) X509_REQ *request = X509_REQ_new();
	AUTO_BIO *out = BIO_new(BIO_s_mem());
	AUTO_PKEY *key = NULL;
	int r = key_read(text, &key, e);

	if (r)
		return r;
	if (!request || !out || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 || X509_REQ_set_pubkey(request, key) != 1 ||
	    name_add(request, fqdn) || !X509_REQ_sign(request, key, EVP_sha256()) || PEM_write_bio_X509_REQ(out, request) != 1)
		return err_set(e, -ENOMEM, "make a request for '%s': OpenSSL cannot", fqdn);
	return taken(out, ret, e);
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static int leaf_check(X509 *leaf, EVP_PKEY *key, const char *fqdn, struct cert_times *ret, struct err *e)
{
	if (X509_check_private_key(leaf, key) != 1)
		return err_set(e, -EBADMSG, "the certificate is for another key than the one that was asked for");
	if (X509_check_host(leaf, fqdn, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) != 1)
		return err_set(e, -EBADMSG, "the certificate is not for '%s'", fqdn);
	*ret = (struct cert_times){ seconds(X509_get0_notBefore(leaf)), seconds(X509_get0_notAfter(leaf)) };
	if (!ret->from_s || ret->until_s <= ret->from_s)
		return err_set(e, -EBADMSG, "the certificate does not say when it holds");
	return 0;
}

/* The certificates of CHAIN, the first looked at, as OpenSSL writes them. */
static int chain_copy(struct str chain, EVP_PKEY *key, const char *fqdn, BIO *out, struct cert_times *ret, struct err *e)
{
	AUTO_BIO *in = BIO_new_mem_buf(chain.p, (int)chain.n);
	size_t n = 0;

	for (; in && n <= CERT_CHAIN_MAX; n++) {
		AUTO_X509 *one = PEM_read_bio_X509(in, NULL, no_password, NULL);
		int r;

		if (!one)
			break;
		if (!n && (r = leaf_check(one, key, fqdn, ret, e)))
			return r;
		if (PEM_write_bio_X509(out, one) != 1)
			return err_set(e, -ENOMEM, "write a certificate: out of memory");
	}
	if (!n || n > CERT_CHAIN_MAX)
		return err_set(e, -EBADMSG, "what was sent is no chain of 1 to %d certificates", CERT_CHAIN_MAX);
	return 0;
}

int cert_bundle_make(struct str text, struct str chain, const char *fqdn, int64_t now_s, struct buf *ret, struct cert_times *ret_times, struct err *e)
{
	AUTO_BIO *out = BIO_new(BIO_s_secmem());
	AUTO_PKEY *key = NULL;
	struct cert_times times;
	int r = key_read(text, &key, e);

	if (r)
		return r;
	if (!out || PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1)
		return err_set(e, -ENOMEM, "write a key: out of memory");
	if ((r = chain_copy(chain, key, fqdn, out, &times, e)))
		return r;
	if (now_s >= times.until_s)
		return err_set(e, -EBADMSG, "the certificate has expired, or the node's clock is wrong");
	if (BIO_ctrl_pending(out) > CERT_BUNDLE_MAX)
		return err_set(e, -EBADMSG, "the certificates have more than %d bytes", CERT_BUNDLE_MAX);
	if ((r = taken(out, ret, e)))
		return r;
	*ret_times = times;
	return 0;
}

int cert_bundle_read(struct str bundle, const char *fqdn, struct cert_times *ret, struct err *e)
{
	AUTO_BIO *out = BIO_new(BIO_s_null());
	AUTO_PKEY *key = NULL;
	int r = key_read(bundle, &key, e);

	return r ? r : !out ? err_set(e, -ENOMEM, "read a certificate: out of memory") : chain_copy(bundle, key, fqdn, out, ret, e);
}

void cert_bundle_id(struct str bundle, char ret[static CERT_ID_LEN + 1])
{
	uint8_t sum[32];

	BUG_ON(!EVP_Digest(bundle.p, bundle.n, sum, NULL, EVP_sha256(), NULL));
	for (size_t i = 0; i < CERT_ID_LEN / 2; i++)
		snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}
