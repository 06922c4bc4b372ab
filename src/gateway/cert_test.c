#include "gateway/cert.h"

#include "gateway/claim.h"
#include "test/t.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define NAME "blog.example.org"
enum { NOW = 1800000000, HOUR = 3600 };

/* What a server sends: a certificate for KEY of NAME, signed by itself, that holds from NOW. */
static void chain_make(const struct buf *key, const char *name, int64_t seconds, size_t n, struct buf *ret)
{
	BIO *in = BIO_new_mem_buf(key->p, (int)key->len), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	X509 *cert = X509_new();
	char names[128], *bytes;
	X509_EXTENSION *one;
	long len;

	snprintf(names, sizeof(names), "DNS:%s", name);
	one = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	T_NEED(pkey && cert && one && X509_set_pubkey(cert, pkey) && X509_add_ext(cert, one, -1), "a certificate");
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	ASN1_TIME_set(X509_getm_notBefore(cert), NOW);
	ASN1_TIME_set(X509_getm_notAfter(cert), NOW + seconds);
	T_NEED(X509_sign(cert, pkey, EVP_sha256()), "sign");
	for (size_t i = 0; i < n; i++)
		PEM_write_bio_X509(out, cert);
	len = BIO_get_mem_data(out, &bytes);
	buf_add(ret, (struct str){ bytes, (size_t)len });
	X509_EXTENSION_free(one);
	X509_free(cert);
	EVP_PKEY_free(pkey);
	BIO_free(in);
	BIO_free(out);
}

static void a_thumbprint_is_the_keys(void)
{
	/* Digested by another program, from what RFC 7638 says. */
	static const char known[] = "-----BEGIN PRIVATE KEY-----\n"
				    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVXEkJMIWuEFbN6vn\n"
				    "QThegm0WHP/cvvkUAeE4TBgZYnKhRANCAATVMWYNWTas2GclT+bEeI4NU7/w2YPe\n"
				    "99eJeiGWWMPMVSt1OYVXW7yKYzOiYnvZKs8Qtc+reId2kisxi31DNv77\n"
				    "-----END PRIVATE KEY-----\n";
	AUTO_SECRET struct buf a = { 0 }, b = { 0 };
	char first[CERT_THUMBPRINT_LEN + 1], again[CERT_THUMBPRINT_LEN + 1];
	struct err e = { 0 };

	T_CHECK(!cert_key_make(&a, &e) && !cert_key_make(&b, &e) && a.len < CERT_KEY_MAX, "%s", e.msg);
	T_CHECK(!cert_thumbprint(buf_str(&a), first, &e) && !cert_thumbprint(buf_str(&a), again, &e) && !strcmp(first, again), "%s", e.msg);
	T_CHECK(!cert_thumbprint(buf_str(&b), again, &e) && strcmp(first, again) && cert_thumbprint_ok(str_c(again)), "another's is another");
	T_CHECK(!cert_thumbprint(str_c(known), again, &e) && !strcmp(again, "CqbaFwdmZ2B-qzXi2fgO3wl7mBwQmTiPNeC-VPyM87s"), "%s", again);
	T_CHECK(cert_thumbprint(S("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"), first, &e) == -EBADMSG, "%s", e.msg);
	T_CHECK(!cert_thumbprint_ok(S("short")) && !cert_thumbprint_ok(S("012345678901234567890123456789012345678901;")), "words alone");
}

static void a_bundle_is_what_was_understood(void)
{
	AUTO_SECRET struct buf key = { 0 }, other = { 0 }, bundle = { 0 }, none = { 0 }, request = { 0 };
	AUTO_BUF struct buf chain = { 0 }, long_chain = { 0 }, wrong = { 0 };
	struct cert_times times = { 0 }, again = { 0 };
	char id[CERT_ID_LEN + 1], id2[CERT_ID_LEN + 1];
	struct err e = { 0 };

	T_NEED(!cert_key_make(&key, &e) && !cert_key_make(&other, &e), "%s", e.msg);
	T_CHECK(!cert_request(buf_str(&key), NAME, &request, &e) && str_starts(buf_str(&request), S("-----BEGIN CERTIFICATE REQUEST-----")), "%s",
		e.msg);
	buf_addf(&chain, "who knows what\n");
	chain_make(&key, NAME, HOUR, 2, &chain);
	buf_addf(&chain, "\n\nset server web0/x state maint\n");
	T_CHECK(!cert_bundle_make(buf_str(&key), buf_str(&chain), NAME, NOW + 1, &bundle, &times, &e), "%s", e.msg);
	T_CHECK(times.from_s == NOW && times.until_s == NOW + HOUR, "when it holds");
	T_CHECK(!strstr(bundle.p, "who") && !strstr(bundle.p, "maint") && !strstr(bundle.p, "\n\n"), "nothing else: %s", bundle.p);
	T_CHECK(!cert_bundle_read(buf_str(&bundle), NAME, &again, &e) && again.until_s == times.until_s, "%s", e.msg);
	cert_bundle_id(buf_str(&bundle), id);
	cert_bundle_id(buf_str(&chain), id2);
	T_CHECK(strlen(id) == CERT_ID_LEN && strcmp(id, id2), "%s %s", id, id2);
	T_CHECK(cert_bundle_read(buf_str(&bundle), "other.example.org", &again, &e) == -EBADMSG, "%s", e.msg);
	T_CHECK(cert_bundle_make(buf_str(&other), buf_str(&chain), NAME, NOW, &none, &times, &e) == -EBADMSG && strstr(e.msg, "another key"), "%s",
		e.msg);
	T_CHECK(cert_bundle_make(buf_str(&key), buf_str(&chain), "a" NAME, NOW, &none, &times, &e) == -EBADMSG && strstr(e.msg, "is not for"), "%s",
		e.msg);
	T_CHECK(cert_bundle_make(buf_str(&key), buf_str(&chain), NAME, NOW + HOUR, &none, &times, &e) == -EBADMSG && strstr(e.msg, "expired"), "%s",
		e.msg);
	T_CHECK(cert_bundle_make(buf_str(&key), S("nothing"), NAME, NOW, &none, &times, &e) == -EBADMSG && strstr(e.msg, "no chain"), "%s", e.msg);
	chain_make(&key, NAME, HOUR, CERT_CHAIN_MAX, &long_chain);
	T_CHECK(!cert_bundle_make(buf_str(&key), buf_str(&long_chain), NAME, NOW, &none, &times, &e), "as many as there may be: %s", e.msg);
	chain_make(&key, NAME, HOUR, 1, &long_chain);
	none.len = 0;
	T_CHECK(cert_bundle_make(buf_str(&key), buf_str(&long_chain), NAME, NOW, &none, &times, &e) == -EBADMSG && !none.len, "one more: %s", e.msg);
}

static void claims_arrive(void)
{
	static struct claims out, in;
	AUTO_JSON sd_json_variant *v = NULL, *list = NULL, *report = NULL;
	const struct claim_report one = { .id = "0123456789abcdef", .bundle = "-----BEGIN", .until_s = 5, .why = "w", .next_s = 6 };
	struct claims_told told = { 0 };
	struct claim_report got;
	struct err e = { 0 };

	snprintf(out.directory, sizeof(out.directory), "https://ca.example/dir");
	out.account = strdup("key");
	snprintf(out.list[0].id, sizeof(out.list[0].id), "0123456789abcdef");
	snprintf(out.list[0].fqdn, sizeof(out.list[0].fqdn), NAME);
	out.list[0].is_ready = true;
	out.list[0].bundle = strdup("bundle");
	out.n = 1;
	T_CHECK(!claims_build(&out, &v) && !claims_decode(v, &in, &e) && in.n == 1, "%s", e.msg);
	T_CHECK(in.list[0].is_ready && !strcmp(in.list[0].fqdn, NAME) && !strcmp(in.list[0].bundle, "bundle") && !strcmp(in.account, "key") && !in.ca,
		"whole");
	claims_deinit(&in);
	snprintf(out.directory, sizeof(out.directory), "-h");
	json_unrefp(&v);
	T_CHECK(!claims_build(&out, &v) && claims_decode(v, &in, &e) == -EBADMSG, "no option");
	snprintf(out.directory, sizeof(out.directory), "https://ca.example/dir");
	snprintf(out.list[0].fqdn, sizeof(out.list[0].fqdn), "../../x");
	json_unrefp(&v);
	T_CHECK(!claims_build(&out, &v) && claims_decode(v, &in, &e) == -EBADMSG && strstr(e.msg, "/names/0/fqdn"), "no path: %s", e.msg);
	claims_deinit(&out);
	T_NEED(!claim_report_add(&one, &list) && !claims_report("key", "0123456789012345678901234567890123456789012", list, &report) &&
		       !claims_told(report, &told, &e) && told.n == 1,
	       "%s", e.msg);
	claims_told_at(&told, 0, &got);
	T_CHECK(got.until_s == 5 && got.next_s == 6 && !strcmp(got.why, "w") && !strcmp(got.bundle, "-----BEGIN") && !strcmp(told.account, "key"),
		"whole");
	json_unrefp(&report);
	T_CHECK(!claims_report("key", "x", list, &report) && claims_told(report, &told, &e) == -EBADMSG, "%s", e.msg);
}

int main(void)
{
	T_RUN(a_thumbprint_is_the_keys);
	T_RUN(a_bundle_is_what_was_understood);
	T_RUN(claims_arrive);
	return T_END();
}
